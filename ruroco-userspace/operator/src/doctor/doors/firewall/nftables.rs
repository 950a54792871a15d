//! The rules that `nft -j list ruleset` prints (libnftables-json(5)).

use std::collections::BTreeMap;

use ruroco_config::door::Transport;
use serde_json::Value;

use super::{Action, Dropped, Fit, Packet, Table};

/// The table that the gate would make itself.
const OURS: &str = "ruroco";

/// Where the packet is dropped.
pub(super) fn dropped(rules: &str, packet: Packet) -> Option<Dropped> {
    let rules: Value = serde_json::from_str(rules).ok()?;
    let mut tables: BTreeMap<(String, String), Table> = BTreeMap::new();
    for entry in rules.get("nftables")?.as_array()? {
        if let Some(chain) = entry.get("chain") {
            let is_input = text(chain, "hook") == "input" && text(chain, "type") == "filter";
            if let Some(table) = table(&mut tables, chain).filter(|_| is_input) {
                let drops = text(chain, "policy") == "drop";
                table.inputs.insert(text(chain, "name").to_owned(), drops);
            }
        } else if let Some(rule) = entry.get("rule")
            && let Some(table) = table(&mut tables, rule)
        {
            let chain = table.chains.entry(text(rule, "chain").to_owned()).or_default();
            chain.extend(actions(rule, packet));
        }
    }
    tables.iter().find_map(|((family, name), table)| {
        let chain = table.dropping()?;
        let (transport, port) = (packet.transport.name(), packet.port);
        let remedy = match name.as_str() {
            "firewalld" => format!(
                "firewall-cmd --permanent --add-port={port}/{transport} && firewall-cmd --reload"
            ),
            _ => format!("nft insert rule {family} {name} {chain} {transport} dport {port} accept"),
        };
        Some(Dropped { place: format!("chain {chain} of table {family} {name}"), remedy })
    })
}

/// The table of a chain or rule, if it sees IP packets for this host.
fn table<'a>(
    tables: &'a mut BTreeMap<(String, String), Table>,
    of: &Value,
) -> Option<&'a mut Table> {
    let (family, name) = (text(of, "family"), text(of, "table"));
    let sees = ["inet", "ip", "ip6"].contains(&family) && name != OURS;
    sees.then(|| tables.entry((family.to_owned(), name.to_owned())).or_default())
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// What a rule does with the packet, and whether it applies to it.
fn actions(rule: &Value, packet: Packet) -> Vec<(Fit, Action)> {
    let mut fit = Fit::Surely;
    let mut actions = Vec::new();
    for part in rule.get("expr").and_then(Value::as_array).into_iter().flatten() {
        let Some((kind, body)) = part.as_object().and_then(|part| part.iter().next()) else {
            continue;
        };
        match kind.as_str() {
            "match" => fit = fit.min(matches(body, packet)),
            "vmap" => {
                actions.extend(choices(body, packet).map(|(one, action)| (fit.min(one), action)))
            }
            // They change nothing of what becomes of a packet.
            "counter" | "log" | "comment" => {}
            _ => match action(part) {
                Some(action) => actions.push((fit, action)),
                None => fit = fit.min(Fit::Perhaps),
            },
        }
    }
    actions
}

fn action(part: &Value) -> Option<Action> {
    let (kind, body) = part.as_object()?.iter().next()?;
    Some(match kind.as_str() {
        "accept" => Action::Accept,
        "drop" | "reject" => Action::Drop,
        "jump" | "goto" => Action::Jump(text(body, "target").to_owned()),
        "return" => Action::Return,
        _ => return None,
    })
}

/// `ct state vmap { established : accept, invalid : drop }`
fn choices(body: &Value, packet: Packet) -> impl Iterator<Item = (Fit, Action)> {
    let key = body.get("key").cloned().unwrap_or_default();
    let pairs = body.get("data").and_then(|data| data.get("set")).and_then(Value::as_array);
    // A named map may have any content.
    let unknown = pairs.is_none().then_some((Fit::Perhaps, Action::Accept));
    let pairs: Vec<_> = pairs.cloned().unwrap_or_default();
    let choice = move |pair: Value| {
        let [value, verdict] = pair.as_array()?.as_slice() else { return None };
        Some((equals(&key, value, packet), action(verdict)?))
    };
    unknown.into_iter().chain(pairs.into_iter().filter_map(choice))
}

fn matches(body: &Value, packet: Packet) -> Fit {
    let (Some(left), Some(right)) = (body.get("left"), body.get("right")) else {
        return Fit::Perhaps;
    };
    let fit = equals(left, right, packet);
    match (text(body, "op"), fit) {
        ("==" | "in" | "", fit) => fit,
        ("!=", Fit::Surely) => Fit::No,
        ("!=", Fit::No) => Fit::Surely,
        _ => Fit::Perhaps,
    }
}

/// Whether a property of the packet has a value, or one of several.
fn equals(property: &Value, value: &Value, packet: Packet) -> Fit {
    let name = packet.transport.name();
    let number = if packet.transport == Transport::Tcp { 6 } else { 17 };
    let is_ours = |value: &Value| {
        Some(value.as_str().map_or_else(|| value.as_u64() == Some(number), |text| text == name))
    };
    if let Some(payload) = property.get("payload") {
        return match (text(payload, "protocol"), text(payload, "field")) {
            ("tcp" | "udp" | "th", "dport")
                if [name, "th"].contains(&text(payload, "protocol")) =>
            {
                any(value, &|value| port_is(value, packet.port))
            }
            ("ip", "protocol") | ("ip6", "nexthdr") => any(value, &is_ours),
            ("ip" | "ip6" | "ether", _) => Fit::Perhaps,
            (protocol, _) if protocol == name || protocol == "th" => Fit::Perhaps,
            // Of another protocol.
            _ => Fit::No,
        };
    }
    let meta = property.get("meta").map(|meta| text(meta, "key"));
    match meta {
        Some("l4proto") => return any(value, &is_ours),
        Some("iifname" | "iif") if value.as_str() == Some("lo") => return Fit::No,
        _ => {}
    }
    match property.get("ct").map(|ct| text(ct, "key")) {
        Some("state") => any(value, &|value| Some(value.as_str() == Some("new"))),
        _ => Fit::Perhaps,
    }
}

/// Whether one of the values in a set is it. A named set may have any content.
fn any(value: &Value, is: &dyn Fn(&Value) -> Option<bool>) -> Fit {
    let fit = |value: &Value| match value.as_str() {
        Some(name) if name.starts_with('@') => Fit::Perhaps,
        _ => is(value).map_or(Fit::Perhaps, Fit::of),
    };
    let set = value.get("set").and_then(Value::as_array).or_else(|| value.as_array());
    match set {
        Some(values) => values.iter().map(fit).max().unwrap_or(Fit::No),
        None => fit(value),
    }
}

fn port_is(value: &Value, port: u16) -> Option<bool> {
    if let Some([first, last]) = value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        return Some((first.as_u64()?..=last.as_u64()?).contains(&u64::from(port)));
    }
    Some(value.as_u64()? == u64::from(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SSH: Packet = Packet { transport: Transport::Tcp, port: 22 };
    const VPN: Packet = Packet { transport: Transport::Udp, port: 51820 };

    /// A ruleset with one input chain, `policy` and the expressions of its rules.
    fn ruleset(policy: &str, rules: &[Value]) -> String {
        let chain = json!({"chain": {"family": "inet", "table": "filter", "name": "input",
            "type": "filter", "hook": "input", "policy": policy}});
        let rule = |expr: &Value| json!({"rule": {"family": "inet", "table": "filter", "chain": "input", "expr": expr}});
        let all: Vec<Value> = [chain].into_iter().chain(rules.iter().map(rule)).collect();
        json!({ "nftables": all }).to_string()
    }

    fn dport(transport: &str, value: &Value) -> Value {
        json!({"match": {"op": "==", "right": value,
            "left": {"payload": {"protocol": transport, "field": "dport"}}}})
    }

    fn is_dropped(policy: &str, rules: &[Value], packet: Packet) -> bool {
        dropped(&ruleset(policy, rules), packet).is_some()
    }

    #[test]
    fn a_chain_that_drops_needs_a_rule_for_the_port() {
        let accept = json!({"accept": null});
        let state = json!({"match": {"op": "in", "left": {"ct": {"key": "state"}},
            "right": ["established", "related"]}});
        let established = json!([state, accept]);
        let loopback = json!([{"match": {"op": "==", "left": {"meta": {"key": "iifname"}},
            "right": "lo"}}, accept]);
        let usual = [established, loopback];
        assert!(!is_dropped("accept", &usual, SSH));
        assert!(is_dropped("drop", &usual, SSH));
        for (port, ssh, vpn) in [
            (dport("tcp", &json!(22)), false, true),
            (dport("tcp", &json!({"set": [80, {"range": [20, 25]}]})), false, true),
            (dport("th", &json!({"set": [22, 51820]})), false, false),
            (dport("udp", &json!(51820)), true, false),
            (dport("tcp", &json!("@open")), false, true),
        ] {
            let rules = [usual.as_slice(), &[json!([port, accept])]].concat();
            assert_eq!(is_dropped("drop", &rules, SSH), ssh, "{port}");
            assert_eq!(is_dropped("drop", &rules, VPN), vpn, "{port}");
        }
    }

    #[test]
    fn what_depends_on_the_address_is_not_judged() {
        let from = json!({"match": {"op": "==", "right": "192.0.2.0",
            "left": {"payload": {"protocol": "ip", "field": "saddr"}}}});
        assert!(!is_dropped("drop", &[json!([from, {"accept": null}])], SSH));
        assert!(!is_dropped("accept", &[json!([from, {"drop": null}])], SSH));
        assert!(is_dropped("accept", &[json!([{"counter": {}}, {"reject": {}}])], SSH));
    }

    #[test]
    fn a_map_of_verdicts_is_followed() {
        let map = |state: &str| {
            json!([{"vmap": {"key": {"ct": {"key": "state"}},
                "data": {"set": [["established", {"accept": null}], [state, {"accept": null}]]}}}])
        };
        assert!(is_dropped("drop", &[map("related")], SSH));
        assert!(!is_dropped("drop", &[map("new")], SSH));
    }

    #[test]
    fn the_remedy_names_table_and_chain() {
        let found = dropped(&ruleset("drop", &[]), SSH).unwrap();
        assert_eq!(found.place, "chain input of table inet filter");
        assert_eq!(found.remedy, "nft insert rule inet filter input tcp dport 22 accept");
    }
}
