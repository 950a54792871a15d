//! What keeps a reload from happening: all stays as it was.

use super::*;

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn what_is_wrong_leaves_all_as_it_was() {
    let mut lab = Lab::running(&with_phone());
    lab.network.server.ip("tuntap add mode tun name tun0\nlink set tun0 up\n");
    lab.reload_gate();
    let config = lab.files.config();
    let config = config.to_str().unwrap();
    let text = fs::read_to_string(config).unwrap();
    let line = |has: &str| text.lines().position(|line| line.contains(has)).unwrap() + 1;
    let at = |has: &str| format!("{config}:{}: ", line(has));
    let [run, pins] = [lab.files.sockets(), lab.files.pins()].map(|path| format!("{path:?}"));
    let cases = [
        ("port = 34020", "prot = 34020", at("port ="), "did you mean `port`?"),
        ("port = 34020", "port = 0", at("port ="), "from 1 to 65535"),
        ("\"server0\"", "\"server0\", \"tun0\"", "tun0".to_owned(), "not an Ethernet interface"),
        ("\"xdp\"", "\"udp\"", at("source ="), "Restart ruroco-gate"),
        (run.as_str(), "\"/run/other\"", at("socket_dir ="), "Restart ruroco-gate"),
        ("\"nobody\"", "\"daemon\"", at("server_user ="), "Restart ruroco-gate"),
        (pins.as_str(), "\"/sys/fs/bpf/other\"", at("pin_dir ="), "Restart ruroco-gate"),
        ("\"native\"", "\"generic\"", at("mode ="), "Restart ruroco-gate"),
    ];
    let before = lab.status();
    under_fire(&mut lab, |lab| {
        for (good, bad, place, told) in cases {
            // Whatever else it says is not to come into force, either.
            remove_key(lab, PHONE);
            lab.files.change_config(|text| text.replace(good, bad));
            lab.expect_no_reload_of_gate(&[&place, told]);
            fs::write(config, &text).unwrap();
            fs::copy(lab.files.client_key(PHONE), lab.files.server_key(PHONE)).unwrap();
            for family in Family::BOTH {
                lab.send(family, &by(lab, PHONE, family));
                assert_eq!(lab.expect_one_run().key, PHONE);
            }
        }

        fs::remove_file(config).unwrap();
        lab.expect_no_reload_of_gate(&[config, "not found"]);
        fs::write(config, &text).unwrap();
        let bad = lab.files.server_key("bad");
        let path = bad.to_str().unwrap().to_owned();
        let write = |text: &str| {
            fs::write(&bad, text).unwrap();
            fs::set_permissions(&bad, fs::Permissions::from_mode(0o600)).unwrap();
        };
        write("nonsense");
        lab.expect_no_reload_of_gate(&[&format!("{path}:1: not a key")]);
        write(&fs::read_to_string(lab.files.client_key(PHONE)).unwrap());
        lab.expect_no_reload_of_gate(&[&path, "phone.key", "has the same key id as"]);
        lab.files.give_to_user(&bad);
        lab.expect_no_reload_of_gate(&[&path, "run: chown root "]);
        fs::remove_file(&bad).unwrap();
        for family in Family::BOTH {
            lab.expect_next_knock_to_run(family);
        }
    });
    let after = lab.status();
    for field in ["attached", "interfaces", "port", "addresses", "keys", "server_connected"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    lab.reload_gate();
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn all_that_is_wrong_is_told_with_a_line_for_each() {
    const REFUSED: &str = "not reloaded, the earlier configuration stays in force";
    let mut lab = Lab::running(&Default::default());
    let pins = format!("{:?}", lab.files.pins());
    let text = lab.files.change_config(|text| {
        let text = text.replace("port = 34020", "port = 0").replace("\"native\"", "\"generic\"");
        format!("{}\n[keys.latop]\ncommands = []\n", text.replace(&pins, "\"/sys/fs/bpf/other\""))
    });
    let bad = lab.files.server_key("bad");
    fs::write(&bad, "nonsense").unwrap();
    fs::set_permissions(&bad, fs::Permissions::from_mode(0o600)).unwrap();
    let told = [
        "from 1 to 65535",
        "`mode` is",
        "`pin_dir`",
        "did you mean `laptop`?",
        "bad.key:1: not a key",
    ];
    lab.expect_no_reload_of_gate(&[told[0]]);
    for told in told {
        lab.gate().wait_for(&[REFUSED, told]);
    }
    for family in Family::BOTH {
        lab.expect_next_knock_to_run(family);
    }
    // What runs is shown, and what is wrong with the file.
    let output = lab.tool_command(&["status"]).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.starts_with("NOT READY   config, commands\n"), "{shown}");
    assert_eq!(output.status.code(), Some(4), "{shown}");
    for line in [
        "guards      UDP port 34020 of ",
        "problem     config: ",
        "-> fix the errors that `ruroco check`",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }

    fs::remove_file(&bad).unwrap();
    fs::write(lab.files.config(), text).unwrap();
    lab.reload_gate();
    assert_eq!(lab.gate().lines_with(&[REFUSED]).len(), told.len());
    lab.expect_silence();
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "needs root and the XDP program: cargo xtask test")]
fn an_exchange_that_fails_half_way_is_undone() {
    let mut lab = Lab::running(&two_interfaces());
    let third = udp_socket(&lab.network.third, Family::V4.unspecified());
    let index =
        lab.network.server.enter(|| nix::net::if_::if_nametoindex(THIRD_INTERFACE)).unwrap();
    let pin = fs::read_dir(lab.files.pins()).unwrap().map(|pin| pin.unwrap().path());
    let pin = pin.into_iter().find(|pin| pin.to_str().unwrap().contains(&format!("_{index}_")));
    // The program stays where it is, but the exchange goes by the pin.
    fs::remove_file(pin.unwrap()).unwrap();
    remove_key(&lab, PHONE);
    under_fire(&mut lab, |lab| {
        lab.expect_no_reload_of_gate(&[THIRD_INTERFACE, "could not take over"]);
        for family in Family::BOTH {
            lab.expect_next_knock_to_run(family);
        }
        for _ in 0..2 {
            lab.send(Family::V6, &by(lab, PHONE, Family::V6));
            assert_eq!(lab.expect_one_run().key, PHONE);
            third.send_to(&by(lab, PHONE, Family::V4), gate(Family::V4)).unwrap();
            assert_eq!(lab.expect_one_run().key, PHONE);
        }
    });
    assert_eq!(lab.status()["keys"].as_array().unwrap().len(), 2);
    lab.expect_silence();
}
