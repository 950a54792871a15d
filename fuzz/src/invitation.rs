//! Invitations: any text.
//!
//! What is accepted can be written down again and read to the same; its fields are what a second
//! reader, which knows only how forms are written, finds in the text; and what is refused is refused
//! without a word of the text, which may hold a key.

use ruroco_invite::invitation::Invitation;

/// Looks at one text.
pub fn invitation(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else { return false };
    let read = Invitation::parse(text);
    if text.trim().lines().count() <= 1 {
        assert_eq!(read.is_ok(), Invitation::find(text).is_ok(), "the only line is the line");
    }
    let invitation = match read {
        Ok(invitation) => invitation,
        Err(error) => {
            let told = error.to_string();
            assert!(!told.contains(char::is_control), "more than one line: {told:?}");
            return text.trim_start().starts_with("ruroco://");
        }
    };
    let again = Invitation::parse(&invitation.to_text()).expect("what is written can be read");
    assert_eq!(again.name, invitation.name);
    assert_eq!(again.address, invitation.address);
    assert!(again.key.is(&invitation.key));
    assert_eq!(again.commands, invitation.commands);
    assert_eq!(again.wait, invitation.wait);
    assert_eq!(again.doors, invitation.doors);
    assert_eq!(invitation.commands, commands(text));
    true
}

/// The values of all fields `command`, by the rules of HTML forms.
fn commands(text: &str) -> Vec<String> {
    let fields = text.trim().split_once('?').unwrap().1;
    let fields = fields.split('&').filter(|field| !field.is_empty());
    let fields = fields.map(|field| field.split_once('=').unwrap_or((field, "")));
    let commands = fields.filter(|(name, _)| decode(name) == "command");
    commands.map(|(_, value)| decode(value)).collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        match (byte, hex) {
            (b'%', Some(hex)) => {
                let hex = str::from_utf8(hex).unwrap();
                decoded.push(u8::from_str_radix(hex, 16).unwrap());
                at += 3;
            }
            (b'+', _) => {
                decoded.push(b' ');
                at += 1;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
