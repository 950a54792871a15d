//! The page of a first knock: what it shows of the client is what the client prints. The system test
//! `package::the_readme_leads_to_a_first_knock` does the rest of the page.

use std::{fs, io::Write, path::Path, process::Stdio};

use ruroco_lab::{directory::Directory, network::Network, programs};

const PAGE: &str = "../docs/start/first-knock.md";

/// What a person sees only at a terminal.
const PROMPT: &str =
    "Paste the invitation, the line that begins with ruroco:// (it is not shown):\n";

/// What the page shows after a command, up to the next one.
#[track_caller]
fn shown_after<'a>(page: &'a str, command: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("$ {command}\n")).expect(command);
    let end = ["\n$ ", "```"].iter().filter_map(|end| rest.find(end)).min().expect("an end");
    rest[..end].trim_end()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_page_shows_what_the_client_prints() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap();
    let invitation = page.lines().find(|line| line.starts_with("ruroco://")).unwrap();
    let (network, folder) = (Network::new(), Directory::new());
    let client = |arguments: &str, input: &str| {
        let mut client = network.client.command();
        client.arg(programs::path("ruroco-client")).args(arguments.split(' '));
        client.env("RUROCO_CONF_DIR", folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = client.spawn().unwrap();
        client.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = client.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    let expected = shown_after(&page, "ruroco-client join").strip_prefix(PROMPT).unwrap();
    assert_eq!(client("join", invitation), expected);
    assert_eq!(client("knock vm", ""), shown_after(&page, "ruroco-client knock vm"));
}
