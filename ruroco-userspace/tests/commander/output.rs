//! What commands print: all of it is read, some of it is logged, and none of it breaks.

use super::*;

#[test]
fn beyond_the_cap_neither_blocks_the_command_nor_floods_the_log() {
    let host = Host::new(
        "[commands.chatty]\nshell = \"\"\"\n\
         head -c 3000000 /dev/zero | tr '\\\\0' x; yes | head -c 3000000; echo done >DIR/done\
         \"\"\"\n",
    );
    let commander = host.start();
    commander.connect().send(&order("chatty"));
    assert_eq!(host.written("done"), "done");
    commander.line(&["ended", "command=chatty", "result=exit:0"]);
    commander.line(&["too much output", "command=chatty", "dropped_bytes=5934464"]);
    let logged: usize = commander.output("chatty").iter().map(String::len).sum();
    assert_eq!(logged, 65_536);
}

#[test]
fn cannot_pass_for_anything_but_output() {
    let host = Host::new("[commands.sly]\nshell = '''printf 'a\\033[2Jb\\rc\"\\377\\n''''\n");
    let commander = host.start();
    commander.connect().send(&order("sly"));
    commander.line(&["ended", "command=sly", "result=exit:0"]);
    assert_eq!(commander.output("sly"), ["a\\u{1b}[2Jb\\rc\\\"\u{fffd}"]);
}

#[test]
fn held_open_by_a_process_left_behind_keeps_nothing_waiting() {
    // It gives up after a minute, should nobody ever let it go on.
    let host = Host::new(
        "[commands.x]\nshell = \"\"\"\n\
         (for i in $(seq 1200); do test -e DIR/go && break; sleep 0.05; done; echo >DIR/lived) &\n\
         echo started\"\"\"\n",
    );
    let commander = host.start();
    commander.connect().send(&order("x"));
    commander.line(&["ended", "command=x", "result=exit:0"]);
    assert_eq!(commander.output("x"), ["started"]);
    // It was left behind on purpose, so it lives on.
    host.write("go", "", 0o600);
    host.written("lived");
}

#[test]
fn of_a_process_left_behind_never_breaks() {
    // At each of its steps it prints, more than a pipe holds the first time.
    let step = |number: u32, bytes: u32| {
        format!(
            "for i in $(seq 1200); do test -e DIR/go{number} && break; sleep 0.05; done\n\
             head -c {bytes} /dev/zero; echo {number}; echo lived >DIR/lived{number}\n"
        )
    };
    let host = Host::new(&format!(
        "[commands.x]\nshell = \"\"\"\n({}{}{}) &\necho started\"\"\"\n",
        step(1, 1_000_000),
        step(2, 1_000),
        step(3, 1_000),
    ));
    let mut commander = host.start();
    commander.connect().send(&order("x"));
    commander.line(&["ended command=x", "result=exit:0"]);
    host.write("go1", "", 0o600);
    host.written("lived1");
    commander.signal(Signal::TERM);
    assert!(commander.ended().success());
    host.write("go2", "", 0o600);
    host.written("lived2");
    let next = host.start();
    host.write("go3", "", 0o600);
    host.written("lived3");
    assert_eq!(next.lines_with(&["output"]), [""; 0]);
}

#[test]
fn of_a_commander_that_was_killed_never_breaks() {
    let host = Host::new(
        "[commands.x]\nshell = \"echo one; until test -e DIR/go || ! test -d DIR; do sleep 0.05; done; echo two; echo >DIR/lived\"\n",
    );
    let mut commander = host.start();
    commander.connect().send(&order("x"));
    eventually("its output", || (commander.output("x") == ["one"]).then_some(()));
    commander.signal(Signal::KILL);
    commander.ended();
    host.write("go", "", 0o600);
    host.written("lived");
}

#[test]
fn can_be_opened_again_by_whoever_the_command_runs_as() {
    if !is_root("running as another user") {
        return;
    }
    let host = Host::new("[commands.x]\nshell = \"echo again >/dev/stderr\"\nuser = \"nobody\"\n");
    let commander = host.start();
    commander.connect().send(&order("x"));
    commander.line(&["ended command=x", "result=exit:0"]);
    assert_eq!(commander.output("x"), ["again"]);
}

#[test]
fn of_a_key_that_prints_without_end_leaves_room_in_the_log_for_others() {
    let host = Host::new(
        "[commands.chatty]\nrun = [\"seq\", \"500\"]\n[commands.terse]\nrun = [\"echo\", \"hello\"]\n",
    );
    let commander = host.start();
    let connection = commander.connect();
    for counter in 0..8 {
        connection.send(&Order { counter, ..order("chatty") });
    }
    eventually("8 ends", || {
        (commander.lines_with(&["ended command=chatty"]).len() == 8).then_some(())
    });
    connection.send(&Order { key: PHONE, ..order("terse") });
    commander.line(&["ended command=terse", "result=exit:0"]);
    assert_eq!(commander.output("terse"), ["hello"]);
    assert_eq!(commander.output("chatty").len(), 2_500);
    commander.line(&["too much output", "command=chatty"]);
}
