//! Reports to the server: whose commands have a slot.

use super::*;

#[test]
fn tells_whoever_connects_whose_commands_are_running() {
    let host = Host::new("[commands.long]\nrun = [\"sleep\", \"600\"]\n");
    let commander = host.start();
    let first = commander.connect();
    first.reported("nothing", |read, taken| {
        assert_eq!((read, taken), (0, &[][..]));
        Some(())
    });
    first.send(&order("long"));
    first.send(&Order { key: PHONE, ..order("long") });
    // Closed and not read to the end: what it has sent is in the next one's first report.
    drop(first);
    commander.connect().reported("both", |read, taken| {
        let mut taken = taken.to_vec();
        taken.sort_unstable();
        assert_eq!((read, taken), (0, vec![LAPTOP, PHONE]));
        Some(())
    });
}

#[test]
fn comes_whenever_an_order_was_read_or_a_command_has_ended() {
    let host = Host::new(
        "[commands.x]\nshell = \"until test -e DIR/go || ! test -d DIR; do sleep 0.05; done\"\n\
         [commands.missing]\nrun = [\"/no/such/program\"]\n",
    );
    let commander = host.start();
    let (connection, other) = (commander.connect(), commander.connect());
    let expect = |expected_read: u64, expected: &[KeyId]| {
        connection.reported(&format!("{expected_read} and {expected:?}"), |read, taken| {
            (read == expected_read && taken == expected).then_some(())
        });
    };
    expect(0, &[]);
    connection.send(&order("x"));
    expect(1, &[LAPTOP]);
    connection.send_bytes(b"nonsense");
    expect(2, &[LAPTOP]);
    connection.send(&Order { key: PHONE, ..order("missing") });
    expect(3, &[LAPTOP]);
    other.send(&Order { key: PHONE, ..order("x") });
    connection.reported("both", |read, taken| (read == 3 && taken.len() == 2).then_some(()));
    host.write("go", "", 0o600);
    expect(3, &[]);
}

#[test]
fn that_nobody_reads_keeps_nothing_waiting() {
    let host = Host::new(TRUE);
    let commander = host.start();
    let (deaf, connection) = (commander.connect(), commander.connect());
    for counter in 0..1_000_u64 {
        connection.send(&Order { counter: counter.into(), ..order("noop") });
        connection.reported("no run", |read, taken| {
            (read == counter + 1 && taken.is_empty()).then_some(())
        });
    }
    deaf.send(&Order { counter: 4711, ..order("noop") });
    commander.line(&["ended command=noop", "counter=4711 ", "result=exit:0"]);
}
