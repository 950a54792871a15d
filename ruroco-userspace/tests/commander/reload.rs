//! SIGHUP: other commands, keys and limits from the next order on, or none of it.

use super::*;

const RELOADED: &[&str] = &["INFO", "reloaded commands="];
const NOT_RELOADED: &str = "not reloaded, the earlier configuration stays in force";

#[test]
fn changes_what_is_run_and_not_what_is_running() {
    let wait = |word: &str| {
        format!(
            "[commands.x]\nshell = \"until test -e DIR/go || ! test -d DIR; do sleep 0.05; done; echo {word}\"\n"
        )
    };
    let host = Host::new(&wait("old"));
    let commander = host.start();
    let connection = commander.connect();
    connection.send(&order("x"));
    commander.line(&["running command=x"]);
    connection.send(&order("noop"));
    commander.line(&["refused reason=unknown_command"]);

    host.write_commands(&format!("{}{TRUE}", wait("new")));
    commander.reload(RELOADED);
    connection.send(&order("noop"));
    commander.line(&["ended command=noop", "result=exit:0"]);
    assert_eq!(commander.lines_with(&["ended command=x"]), [""; 0], "it goes on");
    host.write("go", "", 0o600);
    commander.line(&["ended command=x", "result=exit:0"]);
    connection.send(&order("x"));
    eventually("the other run", || (commander.output("x") == ["old", "new"]).then_some(()));
}

#[test]
fn leaves_a_running_command_its_timeout() {
    let wait = |timeout: u32| {
        format!("[commands.x]\ntimeout = {timeout}\nshell = \"echo $$ >DIR/group; sleep 600\"\n")
    };
    let host = Host::new(&wait(2));
    let commander = host.start();
    commander.connect().send(&order("x"));
    host.written_pid("group");
    host.write_commands(&wait(600));
    commander.reload(RELOADED);
    commander.line(&["ended command=x", "result=timed_out"]);
}

#[test]
fn changes_keys_and_limit() {
    let host = Host::new(TRUE);
    host.configure_rate(1);
    let commander = host.start();
    let connection = commander.connect();
    let phone = Order { key: PHONE, ..order("noop") };
    let tablet = Order { key: KeyId([8, 1, 2, 3, 4, 5, 6, 7]), ..order("noop") };
    connection.send(&phone);
    commander.line(&["ended command=noop key=phone", "result=exit:0"]);

    fs::remove_file(host.path("etc/phone.key")).unwrap();
    let key = "chacha20poly1305:CAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
    host.write("etc/tablet.key", key, 0o600);
    host.configure_rate(1000);
    commander.reload(RELOADED);
    connection.send(&phone);
    commander.line(&["refused reason=unknown_key"]);
    // By the old limit they would take longer than anybody waits here.
    eventually("100 runs", || {
        connection.send(&tablet);
        (commander.lines_with(&["ended command=noop key=tablet"]).len() >= 100).then_some(())
    });
    assert_eq!(commander.lines_with(&["running", "key=phone"]).len(), 1);
}

#[test]
fn takes_the_last_key_away() {
    let host = Host::new(TRUE);
    let commander = host.start();
    for entry in fs::read_dir(host.path("etc")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "key") {
            fs::remove_file(path).unwrap();
        }
    }
    commander.reload(RELOADED);
    commander.line(&["WARN", "there is no key in this directory"]);
    commander.connect().send(&order("noop"));
    commander.line(&["refused reason=unknown_key"]);
}

#[test]
fn changes_whether_addresses_have_to_be_public() {
    let host = Host::new(TRUE);
    let commander = host.start();
    let connection = commander.connect();
    let text = fs::read_to_string(host.path("config.toml")).unwrap();
    for (allow, told) in [
        ("false", &["refused reason=non_routable_address", "192.0.2."][..]),
        ("true", &["ended command=noop", "result=exit:0"]),
    ] {
        host.write("config.toml", &format!("allow_non_public_addresses = {allow}\n{text}"), 0o644);
        commander.reload(RELOADED);
        connection.send(&order("noop"));
        commander.line(told);
    }
    assert_eq!(commander.lines_with(&["running command=noop"]).len(), 1);
}

#[test]
fn that_finds_a_mistake_changes_nothing() {
    let host = Host::new(TRUE);
    let commander = host.start();
    let connection = commander.connect();
    let (config, commands) = (host.path("config.toml"), host.path("commands.toml"));
    let [config, commands] = [config, commands].map(|path| path.to_str().unwrap().to_owned());
    let new = "[commands.new]\nrun = [\"true\"]\n";
    let mut runs = 0;
    let mut expect_no_reload = |told: &[&str]| {
        commander.reload(&[&[NOT_RELOADED], told].concat());
        connection.send(&order("new"));
        connection.send(&order("noop"));
        runs += 1;
        eventually("the old command to run", || {
            (commander.lines_with(&["ended command=noop"]).len() == runs).then_some(())
        });
        assert_eq!(commander.lines_with(&["running command=new"]), [""; 0]);
    };
    host.write_commands(&format!("{new}usr = \"root\"\n"));
    expect_no_reload(&[&format!("{commands}:3: unknown field `usr`")]);
    fs::remove_file(&commands).unwrap();
    expect_no_reload(&[&commands, "not found"]);

    host.write_commands(new);
    host.write("etc/bad.key", "nonsense", 0o600);
    expect_no_reload(&["bad.key:1: not a key"]);
    fs::remove_file(host.path("etc/bad.key")).unwrap();
    host.configure_user("somebody");
    expect_no_reload(&[&format!("{config}:6: `server_user`"), "Restart ruroco-commander"]);
    host.configure_rate(1000);
    host.configure_socket_dir("elsewhere");
    expect_no_reload(&[&format!("{config}:4: `socket_dir`"), "Restart ruroco-commander"]);
    assert!(!host.path("elsewhere").exists());

    host.configure_rate(1000);
    commander.reload(RELOADED);
    connection.send(&order("new"));
    commander.line(&["ended command=new", "result=exit:0"]);
}

#[test]
fn that_finds_many_mistakes_tells_each_in_a_line() {
    let host = Host::new(TRUE);
    let commander = host.start();
    host.configure_user("somebody");
    let config = fs::read_to_string(host.path("config.toml")).unwrap();
    // Of what nobody understands nobody knows whether it has changed.
    let config = config.replace("audit_dir = ", "audit_dir = 1 # ");
    host.write("config.toml", &format!("{config}prot = 80\n"), 0o644);
    host.write("etc/bad.key", "nonsense", 0o600);
    host.write_commands("[commands.new]\nrun = [\"true\"]\ntimeout = 0\nkeys = [\"labtop\"]\n");
    let told = [
        "config.toml:5: ",
        "config.toml:6: `server_user`",
        "config.toml:8: ",
        "bad.key:1: not a key",
        "commands.toml:3: `timeout = 0`",
        "commands.toml:4: ",
    ];
    commander.reload(&[NOT_RELOADED, told[0]]);
    for told in told {
        commander.line(&[NOT_RELOADED, told]);
    }

    fs::remove_file(host.path("etc/bad.key")).unwrap();
    host.write_commands(TRUE);
    host.configure_rate(1000);
    commander.reload(RELOADED);
    assert_eq!(commander.lines_with(&[NOT_RELOADED]).len(), told.len());
}

/// Orders that are sent at once, most of which wait, as one run is started in a second.
const TOGETHER: usize = 12;

/// How many orders were refused for this reason so far, by the audit trail.
fn refused(host: &Host, reason: &str) -> usize {
    let text = fs::read_to_string(host.path("log/audit.jsonl")).unwrap_or_default();
    let lines = text.lines().filter(|line| line.contains(&format!("\"reason\":\"{reason}\"")));
    let count = |line: &str| {
        let (_, count) = line.split_once("\"count\":")?;
        count.split([',', '}']).next()?.parse::<usize>().ok()
    };
    lines.filter_map(count).sum()
}

#[test]
fn drops_the_waiting_runs_that_it_no_longer_permits_and_says_so() {
    let host = Host::new("[commands.noop]\nshell = \"echo old\"\n");
    host.configure_rate(1);
    let commander = host.start();
    let connection = commander.connect();
    for _ in 0..TOGETHER {
        connection.send(&Order { key: PHONE, ..order("noop") });
    }
    connection.send(&order("noop"));
    connection.reported("all orders", |read, _| {
        (usize::try_from(read).unwrap() == TOGETHER + 1).then_some(())
    });
    fs::remove_file(host.path("etc/phone.key")).unwrap();
    host.write_commands("[commands.noop]\nshell = \"echo new\"\n");
    commander.reload(RELOADED);
    commander.line(&["WARN", "refused reason=unknown_key"]);
    let runs = || commander.lines_with(&["running", "key=phone"]).len();
    eventually("a line for each run that waited", || {
        (refused(&host, "unknown_key") + runs() == TOGETHER).then_some(())
    });
    assert!(runs() < TOGETHER, "nothing has waited");
    // Who may still call it is not affected, and gets what the file says now.
    commander.line(&["ended command=noop key=laptop", "result=exit:0"]);
    assert_eq!(commander.output("noop").last().map(String::as_str), Some("new"));
}

#[test]
fn is_no_end_but_an_end_reports_the_runs_that_waited_for_nothing() {
    let host = Host::new(TRUE);
    host.configure_rate(1);
    let mut commander = host.start();
    let connection = commander.connect();
    for _ in 0..TOGETHER {
        connection.send(&order("noop"));
    }
    connection.reported("all orders", |read, _| {
        (usize::try_from(read).unwrap() == TOGETHER).then_some(())
    });
    commander.reload(RELOADED);
    assert_eq!(refused(&host, "stopping"), 0);
    commander.signal(Signal::TERM);
    assert!(commander.ended().success());
    commander.line(&["WARN", "refused reason=stopping", "noop"]);
    let runs = commander.lines_with(&["running", "command=noop"]).len();
    assert_eq!(refused(&host, "stopping") + runs, TOGETHER);
}
