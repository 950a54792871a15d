//! Invitations that were written, read and altered.

use super::*;
use proptest::prelude::*;

const KEY: &str = "chacha20poly1305:AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

fn invitation(address: &str, commands: &[String], wait: Option<u16>) -> Invitation {
    Invitation {
        name: "home".parse().unwrap(),
        address: address.parse().unwrap(),
        key: Key::parse(KEY).unwrap(),
        commands: commands.to_vec(),
        wait: wait.and_then(NonZero::new),
        doors: Doors::new(),
    }
}

fn with_doors() -> Invitation {
    let name = |text| DoorName::new(text).unwrap();
    let door = |port: &str, seconds| Door::new(port.parse().unwrap(), Duration::from_secs(seconds));
    let command = |text: &str| vec![text.to_owned()];
    let ssh = Door {
        open: vec!["open_ssh".to_owned(), "öffne, \"sofort\"".to_owned()],
        close: command("close ssh now"),
        ..door("tcp/22", 30)
    };
    let vpn = Door { open: command("open_ssh"), ..door("udp/51820", 86_400) };
    let doors = Doors::from([(name("ssh"), ssh), (name("vpn"), vpn)]);
    let commands = ["open_ssh".to_owned()];
    Invitation { doors, ..invitation("203.0.113.5", &commands, Some(22)) }
}

#[test]
fn an_invitation_names_doors_and_the_commands_that_open_and_close_them() {
    let written = with_doors().to_text();
    let fields = "&wait=22&door=ssh+tcp%2F22+30&open=ssh+open_ssh&open=ssh+%C3%B6ffne%2C+%22sofort%22\
                  &close=ssh+close+ssh+now&door=vpn+udp%2F51820+86400&open=vpn+open_ssh";
    assert!(written.ends_with(fields), "{}", &*written);
    assert_eq!(Invitation::parse(&written).unwrap().doors, with_doors().doors);
    // In any order of the fields.
    let (other, door) = (written.replace("&door=ssh+tcp%2F22+30", ""), "&door=ssh+tcp%2F22+30");
    assert_eq!(Invitation::parse(&(other + door)).unwrap().doors, with_doors().doors);
    let good = invitation("203.0.113.5", &[], None).to_text();
    for (added, error) in [
        ("door=ssh", ParseError::Door("door")),
        ("door=SSH+tcp%2F22+30", ParseError::Door("door")),
        ("door=ssh+22+30", ParseError::Door("door")),
        ("door=ssh+tcp%2F22+0", ParseError::Door("door")),
        ("door=ssh+tcp%2F22+030", ParseError::Door("door")),
        ("door=ssh+tcp%2F22+86401", ParseError::Door("door")),
        ("door=ssh+tcp%2F22+30+", ParseError::Door("door")),
        ("door=ssh+tcp/22+30", ParseError::Character('/')),
        ("door=ssh+tcp%2f22+30", ParseError::Encoding("door")),
        ("door=ssh+tcp%2F22+30&door=ssh+tcp%2F22+30", ParseError::Twice("door")),
        ("door=ssh+tcp%2F22+30&open=ssh", ParseError::Door("open")),
        ("door=ssh+tcp%2F22+30&open=ssh+", ParseError::Door("open")),
        ("door=ssh+tcp%2F22+30&open=vpn+a", ParseError::Door("open")),
        ("close=ssh+a", ParseError::Door("close")),
    ] {
        let text = format!("{}&{added}", &*good);
        assert_eq!(Invitation::parse(&text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn an_invitation_is_one_line() {
    let text = invitation("203.0.113.5", &["open_ssh".to_owned()], Some(22)).to_text();
    assert_eq!(
        *text,
        "ruroco://203.0.113.5:80?name=home&key=chacha20poly1305%3AAAECAwQFBgcgISIjJCUmJygpKissL\
         S4vMDEyMzQ1Njc4OTo7PD0%2BPw%3D%3D&command=open_ssh&wait=22"
    );
}

#[test]
fn an_invitation_is_found_among_other_lines() {
    let line = invitation("203.0.113.5", &[], None).to_text();
    let other = invitation("203.0.113.6", &[], None).to_text();
    assert!(Invitation::find(&format!("a code\n\n  {}\r\nwords\n", &*line)).is_ok());
    assert!(Invitation::find(&format!("{0}\n{0}\n", &*line)).is_ok());
    let several = Invitation::find(&format!("{}\n{}\n", &*line, &*other));
    assert_eq!(several.unwrap_err(), ParseError::Several);
    assert_eq!(Invitation::find("words\n").unwrap_err(), ParseError::Form);
    let torn = line.replace("&key", "\n&key");
    assert_eq!(Invitation::find(&torn).unwrap_err(), ParseError::Missing("key"));
}

#[test]
fn what_is_nearly_an_invitation_is_refused() {
    let good = invitation("203.0.113.5", &[], None).to_text();
    assert!(Invitation::parse(&good).is_ok());
    for (text, error) in [
        (String::new(), ParseError::Form),
        (KEY.to_owned(), ParseError::Form),
        (good.replace("ruroco:", "https:"), ParseError::Form),
        (good[..good.len() - 1].to_owned(), ParseError::Encoding("key")),
        (good[..good.len() - 8].to_owned(), ParseError::Key(key::ParseError::Malformed)),
        (good.replace("name=home&", ""), ParseError::Missing("name")),
        (format!("{}&name=b", &*good), ParseError::Twice("name")),
        (format!("{}&wait=0", &*good), ParseError::Wait),
        (format!("{}&port=1", &*good), ParseError::Unknown),
        (good.replace(":80", ":0"), ParseError::Address),
        (good.replace(":80", "\u{1b}]0;x"), ParseError::Address),
        (good.replace("home", "..%2Fhome"), ParseError::Name),
        (format!("{}&command={}", &*good, "a".repeat(MAX_SIZE)), ParseError::TooLong),
        (format!("{}&command=a%1B%5B2J", &*good), ParseError::Command(NotACommand)),
        (format!("{}&command=+a", &*good), ParseError::Command(NotACommand)),
        (format!("{}&wait=022", &*good), ParseError::Wait),
        (format!("{}&wait=%2B22", &*good), ParseError::Wait),
        (format!("{}&", &*good), ParseError::Character('&')),
        (good.replace("key=", "key=+"), ParseError::Encoding("key")),
        (good.replace("%3D", "%3d"), ParseError::Encoding("key")),
        (good.replace("home", "h%6Fme"), ParseError::Encoding("name")),
        (good.replace("?name", "?n%61me"), ParseError::Encoding("name")),
        (format!("{}&command=", &*good), ParseError::Command(NotACommand)),
    ] {
        assert_eq!(Invitation::parse(&text).unwrap_err(), error, "{text}");
    }
}

#[test]
fn what_is_said_of_a_mangled_line_has_nothing_of_its_key() {
    let good = invitation("203.0.113.5", &["a".to_owned()], None).to_text();
    for between in ["?", "&", "=", "%3A", ":", "/"] {
        for (instead, all) in [("%26", false), ("", false), (":", true), ("%3F", true)] {
            let mangled = match all {
                true => good.replace(between, instead),
                false => good.replacen(between, instead, 1),
            };
            if let Err(error) = Invitation::parse(&mangled) {
                let message = error.to_string();
                assert!(!message.contains("AAECAwQF"), "{mangled}: {message}");
            }
        }
    }
}

const COMMANDS: [&str; 3] = ["open_ssh", "öffne, \"sofort\" > jetzt", "a+b*c.d-e"];

fn line() -> String {
    let commands = COMMANDS.map(str::to_owned).to_vec();
    let address = "host.example".parse().unwrap();
    Invitation { commands, address, ..with_doors() }.to_text().to_string()
}

#[test]
fn what_a_copy_adds_to_the_end_of_an_invitation_does_not_become_part_of_it() {
    for end in ["open_ssh", "22"] {
        let wait = (end == "22").then_some(22);
        let good = invitation("203.0.113.5", &["open_ssh".to_owned()], wait).to_text();
        assert!(good.ends_with(end));
        for added in [
            "\u{200b}",
            "\u{ad}",
            ">",
            "\"",
            ",",
            "\u{202e}",
            "\u{feff}",
            "'",
            ")",
            ";",
            "\u{2060}",
            "\u{a0}x",
            "&",
            "%",
            "%E2%80%8B",
            "%C2%AD",
            "%C2%A0",
            "%E2%80%AE",
            "%FF",
            "\u{3164}",
        ] {
            let damaged = format!("{}{added}", &*good);
            for read in [Invitation::parse(&damaged), Invitation::find(&damaged)] {
                let message = read.unwrap_err().to_string();
                assert!(!message.contains("AAECAwQF"), "{message}");
            }
        }
        // What the user cannot mean to be part of it does no harm.
        for around in [" ", "\u{a0}", "\t", "\r\n"] {
            assert!(Invitation::find(&format!("{around}{}{around}", &*good)).is_ok());
        }
    }
}

#[test]
fn what_is_wrong_with_a_copied_line_is_said() {
    let good = line();
    let message = |text: &str| Invitation::find(text).unwrap_err().to_string();
    assert!(
        message(&format!("{good}\u{200b}"))
            .contains("the invisible character U+200B, so it was altered")
    );
    assert!(message(&format!("{good}>")).contains("the character >, so it was altered"));
    assert!(message(&format!("<{good}>")).contains("not on a line of its own"));
    assert!(message(&format!("> {good}")).contains("not on a line of its own"));
}

/// Makes sure that a text is rejected, or is as it would be written, except for the address.
fn expect_as_written(text: &str) -> Result<(), TestCaseError> {
    let Ok(read) = Invitation::parse(text) else { return Ok(()) };
    let written = read.to_text();
    let fields = |line: &str| line.trim().split_once('?').map(|(_, fields)| fields.to_owned());
    prop_assert_eq!(fields(&written), fields(text), "{}", text);
    let address = text.trim().strip_prefix(SCHEME).and_then(|rest| rest.split_once('?')).unwrap().0;
    prop_assert_eq!(address.trim_end_matches('/').parse(), Ok(read.address));
    Ok(())
}

proptest! {
    #[test]
    fn no_character_more_or_other_goes_unnoticed(place: prop::sample::Index, c: char, instead: bool) {
        let mut characters: Vec<char> = line().chars().collect();
        let place = place.index(characters.len());
        if instead { characters[place] = c } else { characters.insert(place, c) }
        expect_as_written(&characters.iter().collect::<String>())?;
    }

    #[test]
    fn no_byte_that_is_percent_encoded_goes_unnoticed(place: prop::sample::Index, byte: u8) {
        let mut text = line();
        let place = place.index(text.len());
        text.insert_str(place, &format!("%{byte:02X}"));
        expect_as_written(&text)?;
    }

    #[test]
    fn an_invitation_survives_being_written_down(
        commands in prop::collection::vec("\\PC{1,20}", 0..4),
        wait: Option<u16>,
        address in prop::sample::select(vec!["host.example:81", "[2001:db8::1]:80", "192.0.2.1:9"]),
    ) {
        let can_be_shown = |command: &String| command_name::check(command.clone()).is_ok();
        prop_assume!(commands.iter().all(can_be_shown));
        let written = invitation(address, &commands, wait);
        let read = Invitation::parse(&format!(" {}\n", &*written.to_text())).unwrap();
        prop_assert_eq!(read.address, written.address);
        prop_assert_eq!(read.commands, commands);
        prop_assert_eq!(read.wait, written.wait);
        prop_assert_eq!(&*read.key.to_text(), KEY);
    }

    #[test]
    fn no_text_breaks_the_reader(text in ".*", fields in ".*") {
        let _ = Invitation::parse(&text);
        let _ = Invitation::find(&text);
        let _ = Invitation::parse(&format!("ruroco://h?{fields}"));
    }
}
