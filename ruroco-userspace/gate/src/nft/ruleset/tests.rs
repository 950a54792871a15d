use super::*;
use ruroco_common::datagram::KeyId;
use ruroco_config::Config;
use ruroco_files::toml_file::Source as File;

const NOW: Duration = Duration::from_secs(1000);

fn doors(fields: &str) -> Vec<Door> {
    let text = format!(
        "addresses = [\"192.0.2.1\"]\nsource = \"udp\"\n[doors.a-b_4]\nbackend = \"nftables\"\n{fields}\n"
    );
    let config = Config::check(File::new("/config.toml", text)).or_problems().unwrap();
    config.doors.into_values().collect()
}

fn lease(door: &Door, ip: &str) -> LeaseKey {
    crate::door_maps::in_kernel(door).lease_key(Address::from(ip.parse::<IpAddr>().unwrap()))
}

fn element(until: u64, left: Option<u32>) -> Element {
    Element {
        until: Duration::from_secs(until),
        since: NOW,
        key: KeyId([0x11; 8]),
        counter: 1,
        base: 0,
        left,
        matched: 0,
    }
}

fn table(doors: &[Door], leases: &[(LeaseKey, Element)], state: DoorState) -> String {
    replacement(&Content {
        doors,
        addresses: &[Address::from(IpAddr::from([192, 0, 2, 1]))],
        leases: &leases.iter().copied().collect(),
        revoked: &BTreeSet::new(),
        state,
        now: NOW,
    })
}

const ARMED: DoorState = DoorState { open_from: 0, set_at: 5 };

#[test]
fn only_leases_that_admit_something_are_elements_and_they_end_in_time() {
    let doors = doors("port = \"tcp/22\"\nconnections = 2\nsource = [\"/24\", \"/64\"]");
    let door = &doors[0];
    let text = table(
        &doors,
        &[
            (lease(door, "192.0.2.77"), element(1030, Some(2))),
            (lease(door, "198.51.100.1"), element(1000, Some(2))),
            (lease(door, "203.0.113.1"), element(1030, Some(0))),
            (lease(door, "2001:db8::77"), element(1001, Some(1))),
        ],
        ARMED,
    );
    let has_leases = |line: &&str| line.contains(" set lease_") && line.contains("elements");
    let elements: Vec<&str> = text.lines().filter(has_leases).collect();
    assert_eq!(elements.len(), 2, "{text}");
    assert!(elements[0].contains(
        "lease_a-b_4_4 { type ipv4_addr; flags timeout; size 16384; counter limit rate 1/week burst 1 packets; \
         elements = { 192.0.2.0 counter limit rate 1/week burst 2 packets timeout 30000ms"
    ));
    assert!(
        elements[1]
            .contains("{ 2001:db8:: counter limit rate 1/week burst 1 packets timeout 1000ms")
    );
    assert!(text.contains("ip saddr & 255.255.255.0 @lease_a-b_4_4 goto admitted"), "{text}");
    assert!(text.contains("ip6 saddr & ffff:ffff:ffff:ffff:: @lease_a-b_4_6"), "{text}");
}

#[test]
fn a_trial_is_an_element_that_ends_and_open_doors_have_none() {
    let doors = doors("port = \"tcp/22\"");
    let sets = |state| {
        let text = table(&doors, &[], state);
        let line = |set: &str| {
            let line = text.lines().find(|line| line.contains(set)).unwrap();
            line.split_once("elements = ").map(|(_, elements)| elements.to_owned())
        };
        (line(" set armed "), line(" set trial "))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(sets(ARMED), (some("{ 0 comment \"5\" } }"), None));
    let trial = DoorState { open_from: 1_600_000_000_000, set_at: 5 };
    assert_eq!(sets(trial), (None, some("{ 0 timeout 600000ms comment \"5 1600000000000\" } }")));
    for open_from in [1, 1_000_000_000_000] {
        assert_eq!(sets(DoorState { open_from, set_at: 5 }), (None, None), "{open_from}");
    }
}

#[test]
fn each_port_goes_to_the_chain_of_its_protocol() {
    let text = table(&doors("port = [\"tcp/22\", \"tcp/80-90\", \"udp/53\"]"), &[], ARMED);
    assert!(text.contains("tcp dport vmap { 22 : goto tcp_a-b_4, 80-90 : goto tcp_a-b_4 }"));
    assert!(text.contains("udp dport vmap { 53 : goto udp_a-b_4 }"), "{text}");
    let text = table(&doors("port = \"udp/53\""), &[], ARMED);
    assert!(!text.contains("tcp dport vmap") && !text.contains("chain tcp_a-b_4"), "{text}");
}

#[test]
fn leases_that_end_together_are_one_command_for_each_set() {
    let doors = doors("port = [\"tcp/22\", \"udp/53\"]");
    let ips = ["192.0.2.7", "192.0.2.8", "2001:db8::7"];
    let leases = ips.map(|ip| (&doors[0], lease(&doors[0], ip)));
    let four = "element inet ruroco lease_a-b_4_4 { 192.0.2.7, 192.0.2.8 }\n";
    let six = "element inet ruroco lease_a-b_4_6 { 2001:db8::7 }\n";
    let ended = format!("add {four}delete {four}add {six}delete {six}");
    assert_eq!(closing(&leases, false), ended);
    let revoked = [four, six].map(|element| format!("add {element}")).concat();
    assert_eq!(closing(&leases, true), ended + &revoked.replace("lease_", "revoked_"));
    assert_eq!(closing(&[], true), "");
}

#[test]
fn a_revoked_lease_of_udp_is_remembered() {
    let doors = doors("port = \"udp/53\"");
    let lease = lease(&doors[0], "192.0.2.7");
    let leases = [(&doors[0], lease)];
    let revoked = closing(&leases, true);
    assert!(revoked.ends_with("add element inet ruroco revoked_a-b_4_4 { 192.0.2.7 }\n"));
    assert!(!closing(&leases, false).contains("revoked"));
    let opened = opening(&doors[0], &lease, &element(1030, None), NOW);
    assert!(opened.contains("delete element inet ruroco revoked_a-b_4_4 { 192.0.2.7 }\n"));
}
