//! Questions to a person, each with a default answer.

use std::{
    fmt::{self, Display},
    io::{BufRead, Write},
    net::IpAddr,
};

use anyhow::{Context, bail};

use super::{doors::Choice, host::Host};

/// A door, or `-`.
#[derive(Clone, Copy)]
struct Answer(Option<Choice>);

impl Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(choice) => choice.fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// The person at the terminal, or the defaults.
pub(super) struct Questions<R, W> {
    answers: R,
    out: W,
    /// Whether to take the usual answers.
    usual: bool,
}

impl<R: BufRead, W: Write> Questions<R, W> {
    pub(super) fn new(answers: R, out: W, usual: bool) -> Self {
        Self { answers, out, usual }
    }

    /// Which interfaces to guard.
    ///
    /// # Errors
    /// If there is no answer or no interface.
    pub(super) fn interfaces(&mut self, host: &Host) -> anyhow::Result<Vec<String>> {
        let names: Vec<&str> = host.names().collect();
        if names.is_empty() {
            bail!(
                "this host has no interface except loopback. Pass the name of a future interface with --interface"
            );
        }
        writeln!(self.out, "Interfaces: {}", names.join(" "))?;
        self.list(
            "Listen for knocks on which interfaces? (other traffic is not affected)",
            &host.usual(),
            |answer| {
                let known = names.contains(&answer);
                if known {
                    Ok(answer.to_owned())
                } else {
                    Err(format!("there is no interface {answer}"))
                }
            },
        )
    }

    /// Which addresses clients send to.
    ///
    /// # Errors
    /// If there is no answer.
    pub(super) fn addresses(&mut self, of_host: &[IpAddr]) -> anyhow::Result<Vec<IpAddr>> {
        self.list(
            "To which addresses do clients send? (behind NAT: the outer and the inner ones)",
            of_host,
            |answer| answer.parse().map_err(|_| format!("{answer} is not an IP address")),
        )
    }

    /// Which port.
    ///
    /// # Errors
    /// If there is no answer.
    pub(super) fn port(&mut self, usual: u16) -> anyhow::Result<u16> {
        let ports = self.list(
            "Listen for knocks on which UDP port? (a web server on TCP port 80 is not affected)",
            &[usual],
            |answer| match answer.parse() {
                Ok(port @ 1..) => Ok(port),
                _ => Err(format!("{answer} is not a port. Enter a number from 1 to 65535")),
            },
        )?;
        ports.first().copied().context("no port")
    }

    /// Which ports a knock opens.
    ///
    /// # Errors
    /// If there is no answer.
    pub(super) fn doors(&mut self, usual: &[Choice]) -> anyhow::Result<Vec<Choice>> {
        let usual: Vec<Answer> = match usual {
            [] => vec![Answer(None)],
            choices => choices.iter().copied().map(Some).map(Answer).collect(),
        };
        let answers = self.list(
            "Which ports are closed to everyone and opened by a knock? (NAME=PORT, or - for none)",
            &usual,
            |answer| match answer {
                "-" => Ok(Answer(None)),
                answer => answer.parse().map(Some).map(Answer),
            },
        )?;
        Ok(answers.into_iter().filter_map(|Answer(choice)| choice).collect())
    }

    /// Asks until every word of the answer is valid. At least one word is required.
    fn list<T: Clone + Display>(
        &mut self,
        question: &str,
        usual: &[T],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> anyhow::Result<Vec<T>> {
        let shown: Vec<String> = usual.iter().map(ToString::to_string).collect();
        loop {
            if self.usual {
                if usual.is_empty() {
                    bail!("{question} There is no default answer. Pass it on the command line");
                }
                return Ok(usual.to_vec());
            }
            write!(self.out, "{question} [{}] ", shown.join(" "))?;
            self.out.flush()?;
            let mut line = String::new();
            if self.answers.read_line(&mut line)? == 0 {
                bail!("no answer to: {question}");
            }
            let words = line.split([' ', ',', '\t', '\n', '\r']).filter(|word| !word.is_empty());
            match words.map(&parse).collect::<Result<Vec<T>, String>>() {
                Ok(answer) if !answer.is_empty() => return Ok(answer),
                Ok(_) if !usual.is_empty() => return Ok(usual.to_vec()),
                Ok(_) => {}
                Err(what) => writeln!(self.out, "{what}")?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(answers: &str) -> (anyhow::Result<u16>, String) {
        let mut out = Vec::new();
        let port = Questions::new(answers.as_bytes(), &mut out, false).port(80);
        (port, String::from_utf8(out).unwrap())
    }

    #[test]
    fn an_empty_answer_is_the_usual_one() {
        assert_eq!(port("\n").0.unwrap(), 80);
        assert_eq!(port("34020\n").0.unwrap(), 34020);
    }

    #[test]
    fn what_was_not_understood_is_asked_again() {
        let (answer, said) = port("0\nx\n4\n");
        assert_eq!(answer.unwrap(), 4);
        assert!(said.contains("0 is not a port") && said.contains("x is not a port"), "{said}");
        assert!(port("x\n").0.is_err(), "the end of all answers is not waited for");
    }

    #[test]
    fn a_port_is_closed_only_if_the_answer_says_so() {
        let doors = |answers: &str, usual: &[Choice]| {
            Questions::new(answers.as_bytes(), Vec::new(), false).doors(usual).unwrap()
        };
        let ssh: Choice = "ssh=tcp/22".parse().unwrap();
        let web: Choice = "web=tcp/443".parse().unwrap();
        assert_eq!(doors("\n", &[ssh]), [ssh]);
        assert_eq!(doors("-\n", &[ssh]), []);
        assert_eq!(doors("\n", &[]), []);
        assert_eq!(doors("22\nssh=tcp/22 web=tcp/443\n", &[]), [ssh, web]);
    }

    #[test]
    fn several_addresses_may_be_said_in_one_line() {
        let mut out = Vec::new();
        let asked = Questions::new(&b"192.0.2.1, 2001:db8::1\n"[..], &mut out, false)
            .addresses(&[])
            .unwrap();
        assert_eq!(asked, ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn who_does_not_want_to_be_asked_is_not() {
        let mut questions = Questions::new(&b""[..], Vec::new(), true);
        assert_eq!(questions.port(80).unwrap(), 80);
        assert!(questions.addresses(&[]).is_err(), "there is no default address");
        assert!(questions.out.is_empty());
    }
}
