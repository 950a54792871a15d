//! Names in all the world's scripts.

use crate::person::{Person, add_host_at, new_folder};
use crate::server::Server;

/// Nothing in the harness finds fonts of the system, and a character that cannot be drawn ends a test.
#[test]
fn a_name_in_any_script_is_drawn_read_and_knocked_with() {
    for (name, command) in [("門", "打开_ssh"), ("בית", "פתח_את_השער"), ("مكتب", "افتح_الباب")]
    {
        let (folder, server) = (new_folder(), Server::new());
        let key = add_host_at(&server, &folder, name, |host| {
            host.commands = vec![command.to_owned()];
        });
        let mut person = Person::opens(folder);
        person.sees(name);
        person.presses(&format!("Knock at {name}: {command}"));
        server.receives(&key);
        person.presses("History");
        person.sees(&format!("{command} at {name}"));
        person.presses("Keys");
        person.sees(&format!("For {name}"));
    }
}
