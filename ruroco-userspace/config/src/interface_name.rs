//! Names of interfaces, and what people write in place of one.
//!
//! Tools show more than the name of an interface: the peer of a virtual one, the label of an address. Such
//! text looks right, but is not a name, and the gate would wait for that interface forever.

use std::net::IpAddr;

/// Longest altname: `ALTIFNAMSIZ` without the closing zero (linux/if.h). Names have at most 15 bytes.
const MAX_LENGTH: usize = 127;

/// Why this cannot be the name of an interface, and what to write instead.
pub(crate) fn mistake(name: &str) -> Option<String> {
    if is_name(name) {
        return None;
    }
    let shown = name.escape_debug();
    let list = "`ip -brief link` lists the names, each before an `@`";
    let before = |end: char| name.split(end).next().filter(|part| is_name(part));
    let listed: Vec<String> = name
        .split([',', ' ', ';'])
        .filter(|part| is_name(part))
        .map(|part| format!("{part:?}"))
        .collect();
    let address = name.split('/').next().unwrap_or_default();
    Some(if name.is_empty() {
        format!("the name of an interface is empty; {list}")
    } else if address.parse::<IpAddr>().is_ok() {
        format!(
            "`{shown}` is an IP address: those belong in `addresses`. Write the name of the interface that has it, \
             which `ip -brief address` shows"
        )
    } else if is_hardware_address(name) {
        format!(
            "`{shown}` is a hardware address. Write the name of the interface that has it; {list}"
        )
    } else if is_name(name.trim()) {
        format!("`{shown}` begins or ends with white space. Write {:?}", name.trim())
    } else if let Some(part) = before('@') {
        format!(
            "`{shown}` is how `ip link` shows the interface `{part}` with its peer or parent; write {part:?}"
        )
    } else if let Some(part) = before(':') {
        format!("`{shown}` is the label of an address, not an interface; write {part:?}")
    } else if name.contains(['*', '?', '[', '%']) {
        format!(
            "`{shown}` is a pattern, which is not supported: write the name of each interface; {list}"
        )
    } else if listed.len() > 1 {
        format!(
            "`{shown}` cannot be the name of an interface; write interfaces = [{}]",
            listed.join(", ")
        )
    } else if name.len() > MAX_LENGTH {
        format!("a name of {} bytes is too long for an interface; {list}", name.len())
    } else {
        format!("`{shown}` cannot be the name of an interface; {list}")
    })
}

/// Whether the kernel accepts it (`dev_valid_name`, net/core/dev.c), except invisible characters and those of
/// patterns.
fn is_name(name: &str) -> bool {
    let is_wrong = |c: char| {
        matches!(c, '/' | ':' | '@' | ',' | ';' | '*' | '?' | '[' | '%')
            || c.is_whitespace()
            || c.is_control()
            // Invisible, or changing the direction of text.
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    (1..=MAX_LENGTH).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.contains(is_wrong)
        && !is_hardware_address(name)
        && name.parse::<IpAddr>().is_err()
}

/// Six bytes in hexadecimal, as in `02:00:00:00:00:01`.
fn is_hardware_address(name: &str) -> bool {
    let parts: Vec<&str> = name.split([':', '-']).collect();
    let is_byte = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    parts.len() == 6 && parts.iter().all(is_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_altnames_are_names() {
        let long = "a".repeat(127);
        for name in
            ["eth0", "lo", "eth0.5", "br-lan", "wlp0s20f3", "enx020000000001", &long, "\u{fc}0"]
        {
            assert_eq!(mistake(name), None, "{name}");
        }
    }

    #[test]
    fn what_tools_show_with_a_name_is_rejected_with_the_name_to_write() {
        let long = "a".repeat(128);
        for (name, told) in [
            ("", "is empty"),
            ("eth0@if5", "write \"eth0\""),
            ("eth0.5@eth0", "write \"eth0.5\""),
            ("eth0:1", "is the label of an address, not an interface; write \"eth0\""),
            ("eth0:", "write \"eth0\""),
            ("eth0 ", "`eth0 ` begins or ends with white space. Write \"eth0\""),
            ("\teth0\n", "`\\teth0\\n` begins or ends with white space"),
            ("eth0 eth1", "write interfaces = [\"eth0\", \"eth1\"]"),
            ("eth0,eth1", "write interfaces = [\"eth0\", \"eth1\"]"),
            ("eth*", "is a pattern"),
            ("eth[01]", "is a pattern"),
            ("eth?", "is a pattern"),
            ("eth%d", "is a pattern"),
            ("*", "is a pattern"),
            ("02:00:00:00:00:01", "is a hardware address"),
            ("02-00-00-00-00-01", "is a hardware address"),
            ("192.0.2.1", "is an IP address: those belong in `addresses`"),
            ("192.0.2.1/24", "is an IP address"),
            ("2001:db8::1", "is an IP address"),
            ("::1", "is an IP address"),
            ("../eth0", "cannot be the name of an interface; `ip -brief link`"),
            ("/sys/class/net/eth0", "cannot be the name"),
            (".", "cannot be the name"),
            ("a\0", "`a\\0` cannot be the name"),
            ("\u{202e}", "cannot be the name"),
            (&long, "128 bytes is too long"),
        ] {
            let mistake = mistake(name).unwrap_or_default();
            assert!(mistake.contains(told), "{name:?}: {mistake}");
        }
    }
}
