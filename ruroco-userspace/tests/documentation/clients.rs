//! `docs/start/clients.md`: the example of `client.toml` is accepted.

use ruroco_client::profiles::Profiles;
use ruroco_files::toml_file::Source;

use super::{page, section};

#[test]
fn the_example_is_one() {
    let page = page("start/clients.md");
    let text = section(&page, "## client.toml").split("```toml\n").nth(1).unwrap();
    let file = Source::new("/client.toml", text.split("```").next().unwrap());
    let profiles = Profiles::check(&file).or_problems().unwrap();
    assert!(profiles.get("home").is_some());
}
