//! The rules that `iptables-save` prints.

use super::{Action, Dropped, Fit, Packet, Table};

/// Where the packet is dropped, by the rules of `program`: `iptables` or `ip6tables`.
pub(super) fn dropped(program: &str, rules: &str, packet: Packet) -> Option<Dropped> {
    let mut table = Table::default();
    for line in rules.lines() {
        if let Some(chain) = line.strip_prefix(':') {
            let mut fields = chain.split_ascii_whitespace();
            if let (Some("INPUT"), Some(policy)) = (fields.next(), fields.next()) {
                table.inputs.insert("INPUT".to_owned(), policy == "DROP");
            }
        } else if let Some((chain, rest)) =
            line.strip_prefix("-A ").and_then(|rule| rule.split_once(' '))
        {
            table.chains.entry(chain.to_owned()).or_default().extend(rule(rest, packet));
        }
    }
    let chain = table.dropping()?;
    let (transport, port) = (packet.transport.name(), packet.port);
    let is_ufw = table.chains.keys().any(|chain| chain.starts_with("ufw-"));
    let remedy = match is_ufw {
        true => format!("ufw allow {port}/{transport}"),
        false => format!("{program} -I {chain} -p {transport} --dport {port} -j ACCEPT"),
    };
    Some(Dropped { place: format!("chain {chain} of {program}"), remedy })
}

/// What a rule does with the packet, and whether it applies to it.
fn rule(text: &str, packet: Packet) -> Option<(Fit, Action)> {
    let mut words = text.split_ascii_whitespace().peekable();
    let mut fit = Fit::Surely;
    let mut is_negated = false;
    let mut action = None;
    while let Some(word) = words.next() {
        let Some(value) = words.peek().copied() else { break };
        let one = match word {
            "!" => {
                is_negated = true;
                continue;
            }
            "-j" | "-g" => {
                action = Some(match value {
                    "ACCEPT" => Action::Accept,
                    "DROP" | "REJECT" => Action::Drop,
                    "RETURN" => Action::Return,
                    chain => Action::Jump(chain.to_owned()),
                });
                break;
            }
            "-p" => Fit::of([packet.transport.name(), "all"].contains(&value)),
            "-i" if value == "lo" => Fit::No,
            "--dport" | "--dports" => {
                Fit::of(value.split(',').any(|range| has(range, packet.port)))
            }
            "--ctstate" | "--state" => Fit::of(value.split(',').any(|state| state == "NEW")),
            // Modules, comments, and the values of options.
            "-m" | "--comment" => Fit::Surely,
            word if word.starts_with('-') => Fit::Perhaps,
            _ => continue,
        };
        fit = fit.min(match (is_negated, one) {
            (true, Fit::Surely) => Fit::No,
            (true, Fit::No) => Fit::Surely,
            (_, one) => one,
        });
        is_negated = false;
    }
    Some((fit, action?))
}

/// Whether a range such as `8000:8010` has a port.
fn has(range: &str, port: u16) -> bool {
    let (first, last) = range.split_once(':').unwrap_or((range, range));
    let ends = (first.parse::<u16>(), last.parse::<u16>());
    matches!(ends, (Ok(first), Ok(last)) if (first..=last).contains(&port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruroco_config::door::Transport;

    const SSH: Packet = Packet { transport: Transport::Tcp, port: 22 };

    fn is_dropped(policy: &str, rules: &str) -> bool {
        dropped("iptables", &format!("*filter\n:INPUT {policy} [0:0]\n{rules}\n"), SSH).is_some()
    }

    #[test]
    fn a_chain_that_drops_needs_a_rule_for_the_port() {
        let usual = "-A INPUT -i lo -j ACCEPT\n\
                     -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
                     -A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT\n\
                     -A INPUT -p udp -m udp --dport 22 -j ACCEPT\n";
        assert!(is_dropped("DROP", usual));
        assert!(!is_dropped("ACCEPT", usual));
        for rule in [
            "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
            "-A INPUT -p tcp -m multiport --dports 80,20:25 -j ACCEPT",
            "-A INPUT -p tcp -m tcp --dport 22 -m comment --comment \"the way in\" -j ACCEPT",
            "-A INPUT -s 192.0.2.0/24 -j ACCEPT",
            "-A INPUT ! -i lo -p tcp -j ACCEPT",
        ] {
            assert!(!is_dropped("DROP", &format!("{usual}{rule}")), "{rule}");
        }
        for rule in [
            "-A INPUT -p tcp -m tcp ! --dport 22 -j ACCEPT",
            "-A INPUT -p tcp -m tcp --dport 23 -j ACCEPT",
        ] {
            assert!(is_dropped("DROP", &format!("{usual}{rule}")), "{rule}");
        }
    }

    #[test]
    fn chains_are_followed_and_ufw_is_recognised() {
        let rules =
            "-A INPUT -j ufw-user-input\n-A ufw-user-input -p tcp -m tcp --dport 80 -j ACCEPT";
        assert!(is_dropped("DROP", rules));
        let found = dropped("iptables", &format!(":INPUT DROP [0:0]\n{rules}\n"), SSH).unwrap();
        assert_eq!(found.remedy, "ufw allow 22/tcp");
        assert!(!is_dropped(
            "DROP",
            &format!("{rules}\n-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT")
        ));
        let cut = "-A INPUT -j ours\n-A ours -j RETURN\n-A ours -j ACCEPT\n-A INPUT -j REJECT";
        assert!(is_dropped("ACCEPT", cut));
    }
}
