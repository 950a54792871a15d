//! `ruroco-gate init`: what it makes of the host.

use std::fs;

use ruroco_lab::{
    directory::Directory,
    network::{Network, SERVER, SERVER_INTERFACE},
    programs,
};

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_interface_that_cannot_be_closed_is_neither_offered_nor_taken() {
    let (network, place) = (Network::new(), Directory::new());
    // The first by name, and the one that the default route leads to.
    network.server.ip("tuntap add mode tun name a0\nlink set a0 up\nroute add default dev a0\n");
    let config = place.path().join("config.toml");
    let init = |more: &[&str]| {
        let mut init = network.server.command();
        init.arg(programs::path("ruroco-gate")).args(["init", "--no-start", "--yes", "--config"]);
        // This machine may have no user for the server, without whom it ends later.
        init.arg(&config).args(more).output().unwrap()
    };
    let refused = init(&["--interface", "a0"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("a0 is no Ethernet interface"), "{said}");
    assert!(!config.exists());

    let offered = init(&[]);
    let said = String::from_utf8_lossy(&offered.stdout);
    assert!(said.contains("Interfaces: ") && !said.contains("a0"), "{said}");
    let written = fs::read_to_string(&config).unwrap();
    assert!(written.contains(&format!("interfaces = [\"{SERVER_INTERFACE}\"]")), "{written}");
    assert!(written.contains(&SERVER.v4.to_string()), "{written}");
}
