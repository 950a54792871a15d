//! `ruroco init`: what it makes of the host.

use std::{
    fs::{self, File, Permissions},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use ruroco_lab::{
    directory::Directory,
    mount::{self, Mount},
    network::{Network, SERVER, SERVER_INTERFACE},
    programs,
};
use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};

/// A folder with a `config.toml` that is to be gone on from, for a server that runs as `nobody`.
struct Begun(Directory);

impl Begun {
    fn new() -> Self {
        let begun = Self(Directory::new());
        fs::set_permissions(begun.path(""), Permissions::from_mode(0o755)).unwrap();
        let text = format!(
            "addresses = [\"{}\"]\nport = 34020\nkeys_dir = {:?}\nstate_dir = {:?}\n\
             server_user = \"{}\"\n\n[gate]\ninterfaces = [\"lo\"]\n",
            SERVER.v4,
            begun.keys(),
            begun.path("floors"),
            programs::unprivileged_user().name,
        );
        fs::write(begun.path("config.toml"), text).unwrap();
        begun
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn keys(&self) -> PathBuf {
        self.path("keys")
    }

    /// The server's program has to be beside the tool's, where its user gets to.
    fn init(&self) -> Command {
        let [tool, _] = ["ruroco", "ruroco-server"]
            .map(|name| programs::reachable_by_all(&programs::path(name), self.0.path()));
        let mut init = Command::new(tool);
        init.args(["init", "--no-start", "--config"]).arg(self.path("config.toml"));
        init
    }
}

#[track_caller]
fn text_of(output: &Output) -> String {
    let [said, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{said}{error}");
    said.into_owned()
}

/// What a program shows at a terminal.
fn at_a_terminal(mut program: Command) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut child = program.stdout(open(name, flags, Mode::empty()).unwrap()).spawn().unwrap();
    // With its copies of the other end, so that there is an end to what is read.
    drop(program);
    let mut shown = Vec::new();
    // Which an error is (EIO, pty(7)).
    let _ = File::from(terminal).read_to_end(&mut shown);
    assert!(child.wait().unwrap().success());
    String::from_utf8(shown).unwrap()
}

fn first_key(keys: &Path) -> String {
    fs::read_to_string(keys.join("laptop.key")).unwrap()
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_set_up_that_has_failed_can_be_run_again() {
    let begun = Begun::new();
    // Files of ten bytes at most.
    let init = begun.init();
    let mut limited = Command::new("prlimit");
    limited.arg("--fsize=10").arg(init.get_program()).args(init.get_args());
    assert!(!limited.output().unwrap().status.success());
    assert!(!begun.path("commands.toml").exists(), "the beginning of it would stay");
    // Where the floors are to be, something is in the way.
    fs::write(begun.path("floors"), "").unwrap();
    let failed = begun.init().output().unwrap();
    let said = String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success() && said.contains("is not a directory"), "{said}");
    fs::remove_file(begun.path("floors")).unwrap();
    for (made, stays) in [(true, false), (false, true)] {
        let said = text_of(&begun.init().output().unwrap());
        assert_eq!(said.contains("created the key"), made, "{said}");
        assert_eq!(said.contains("contains a key already"), stays, "{said}");
        assert!(begun.path("floors/floors").exists());
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn a_configuration_may_be_named_from_the_directory_that_it_is_in() {
    let begun = Begun::new();
    let gate = begun.init().get_program().to_owned();
    let init = |dir: &str, options: &[&str]| {
        let mut init = Command::new(&gate);
        init.args(["init", "--no-start", "--config", "config.toml"]).args(options);
        init.current_dir(begun.path(dir)).output().unwrap()
    };
    text_of(&init("", &[]));
    assert!(begun.path("commands.toml").exists() && !first_key(&begun.keys()).is_empty());

    fs::create_dir(begun.path("new")).unwrap();
    // This machine may have no user for the server, without whom it ends later.
    let options = ["--interface", "lo", "--address", "192.0.2.1", "--port", "34020"];
    let output = init("new", &options);
    let written = fs::read_to_string(begun.path("new/config.toml"));
    let written = written.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert!(written.contains(&format!("keys_dir = {:?}", begun.path("new/keys"))), "{written}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn the_first_key_is_shown_at_a_terminal_and_nowhere_else() {
    const INVITE: &str = "ruroco invite laptop";
    let begun = Begun::new();
    let said = text_of(&begun.init().output().unwrap());
    assert!(said.contains(INVITE) && !said.contains("ruroco://"), "{said}");
    let key = first_key(&begun.keys());
    let secret = key.trim_end().rsplit(':').next().unwrap();
    assert!(!said.contains(secret), "{said}");

    let shown = at_a_terminal(Begun::new().init());
    assert!(shown.contains("ruroco://") && shown.contains(INVITE), "{shown}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_interface_that_cannot_be_closed_is_neither_offered_nor_taken() {
    let (network, place) = (Network::new(), Directory::new());
    // The first by name, and the one that the default route leads to.
    network.server.ip("tuntap add mode tun name a0\nlink set a0 up\nroute add default dev a0\n");
    let config = place.path().join("config.toml");
    let init = |more: &[&str]| {
        let mut init = network.server.command();
        init.arg(programs::path("ruroco")).args(["init", "--no-start", "--yes", "--config"]);
        // This machine may have no user for the server, without whom it ends later.
        init.arg(&config).args(more).output().unwrap()
    };
    let refused = init(&["--interface", "a0"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("cannot use a0: it is not an Ethernet interface"), "{said}");
    assert!(!config.exists());

    let offered = init(&[]);
    let said = String::from_utf8_lossy(&offered.stdout);
    // Of this line only: the directory's name is random.
    let offered = said.lines().find(|line| line.starts_with("Interfaces: "));
    assert!(offered.is_some_and(|line| !line.contains("a0")), "{said}");
    let written = fs::read_to_string(&config).unwrap();
    let mode = fs::metadata(&config).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "the server reads it, too");
    assert!(written.contains(&format!("interfaces = [\"{SERVER_INTERFACE}\"]")), "{written}");
    assert!(written.contains(&SERVER.v4.to_string()), "{written}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn only_addresses_that_will_last_are_proposed() {
    let (network, place) = (Network::new(), Directory::new());
    // With this the kernel makes a temporary address (RFC 8981) for each that has a prefix for it.
    network.server.sysctl(&[("ipv6/conf/server0/use_tempaddr", "2")]);
    network.server.ip("addr add fd00::1/64 dev server0 nodad\n\
         addr add 2001:db8:1::de/64 dev server0 preferred_lft 0 nodad\n\
         addr add 192.0.2.9/24 dev server0 preferred_lft 0\n\
         addr add 2001:db8:7::1/64 dev server0 mngtmpaddr nodad valid_lft 9000 preferred_lft 8000\n\
         addr add 169.254.7.7/16 dev server0\n\
         link property add dev server0 altname the-altname-of-server0\n");
    let mut ip = network.server.command();
    let shown = ip.args(["ip", "-6", "address", "show", "dev", "server0", "temporary"]).output();
    let shown = shown.unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains("temporary"), "{shown:?}");

    for (name, interface) in [("a", SERVER_INTERFACE), ("b", "the-altname-of-server0")] {
        let config = place.path().join(name).join("config.toml");
        let mut init = network.server.command();
        init.arg(programs::path("ruroco")).args(["init", "--no-start", "--yes", "--config"]);
        init.arg(&config).args(["--interface", interface]).output().unwrap();
        let written = fs::read_to_string(&config).unwrap();
        let expected =
            "addresses = [\"192.0.2.1\", \"2001:db8:7::1\", \"2001:db8:1::1\", \"fd00::1\"]\n";
        let sorted = |text: &str| {
            let line =
                text.lines().find(|line| line.starts_with("addresses = ")).unwrap_or_default();
            let mut words: Vec<String> =
                line.split([' ', ',', '[', ']']).map(str::to_owned).collect();
            words.sort();
            words
        };
        assert_eq!(sorted(&written), sorted(expected), "{written}");
        assert!(written.contains("\"fd00::1\"]"), "a site's own address comes last: {written}");
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn without_xdp_doors_are_of_nftables_which_has_to_be_installed() {
    let (network, place) = (Network::new(), Directory::new());
    mount::keep_to_this_thread();
    let folder = place.path().join("etc");
    let config = folder.join("config.toml");
    let init = |more: &[&str]| {
        let mut init = network.server.command();
        init.arg(programs::path("ruroco")).args(["init", "--no-start", "--yes", "--config"]);
        init.arg(&config).args(["--source", "udp", "--address", "192.0.2.1", "--port", "34020"]);
        // This machine may have no user for the server, without whom it ends later.
        init.args(more).output().unwrap()
    };
    let door = ["--door", "ssh=tcp/22", "--door", "wg=udp/51820"];
    let hidden = Mount::without(Path::new("/usr/sbin/nft"), &place.path().join("hidden"));
    let refused = init(&door);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    assert!(
        said.contains("nothing was written") && said.contains("apt install nftables"),
        "{said}"
    );
    assert!(!folder.exists(), "something was written");
    drop(hidden);

    let refused = init(&["--interface", "lo"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("Remove --interface") && !folder.exists(), "{said}");

    init(&door);
    let written = fs::read_to_string(&config).unwrap();
    assert!(written.starts_with("source = \"udp\"\n") && !written.contains("[gate]"), "{written}");
    assert_eq!(written.matches("\nbackend = \"nftables\"\n").count(), 2, "{written}");
    let mut check = network.server.command();
    check.arg(programs::path("ruroco")).args(["check", "--daemon", "commander", "--config"]);
    let checked = check.arg(&config).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    let errors = said.lines().filter(|line| line.contains("config.toml:"));
    assert_eq!(errors.filter(|line| !line.contains("server_user")).count(), 0, "{said}");
}
