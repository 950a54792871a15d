//! All floods, at one server after the other.

use anyhow::Result;

use crate::{
    flood::{FORGED, Flood, KINDS, Kind, Siege},
    frame,
    fwknop::{self, Fwknop},
    generator::{Generator, Rate},
    growth::{self, Sources},
    numbers,
    paths::Paths,
    peer::Ruroco,
    scale::Scale,
};

/// What came of it.
#[derive(Default)]
pub(crate) struct Campaign {
    pub(crate) floods: Vec<Flood>,
    /// How the servers were configured.
    pub(crate) peers: Vec<(String, String)>,
    pub(crate) sources: Vec<Sources>,
}

/// What fwknopd is flooded with: the same as the others, in the form of its own packets.
const FWKNOP_KINDS: [Kind; 3] = [
    Kind { name: "wrong length", code: frame::WRONG_LENGTH },
    Kind { name: "forged", code: frame::LETTERS },
    Kind { name: "exact replay", code: frame::TEMPLATE },
];

impl Campaign {
    /// Floods every server there is.
    pub(crate) fn run(paths: &Paths, scale: &Scale) -> Result<Self> {
        let mut campaign = Self::default();
        campaign.at_the_gate(paths, scale)?;
        let (mut peer, attacker) = Ruroco::start(paths, "udp", 1)?;
        let mut generator = Generator::load(paths, &attacker)?;
        let siege = Siege::lay(&mut peer, &attacker)?;
        campaign.without_gate(siege, &mut generator, &[KINDS[0], FORGED, KINDS[3]], scale)?;
        drop(peer);
        if fwknop::is_installed() {
            let (mut peer, attacker) = Fwknop::start(paths)?;
            let mut generator = Generator::load(paths, &attacker)?;
            let siege = Siege::lay(&mut peer, &attacker)?;
            campaign.without_gate(siege, &mut generator, &FWKNOP_KINDS, scale)?;
        } else {
            println!("fwknopd is not installed (Debian: fwknop-server, fwknop-client): left out");
        }
        Ok(campaign)
    }

    fn at_the_gate(&mut self, paths: &Paths, scale: &Scale) -> Result<()> {
        let (mut peer, attacker) = Ruroco::start(paths, "xdp", 1)?;
        let gate = peer.lab.gate().pid();
        self.sources.push(growth::before_sources(gate, peer.lab.server().pid())?);
        let mut generator = Generator::load(paths, &attacker)?;
        let mut siege = Siege::lay(&mut peer, &attacker)?;
        self.peers.push((siege.peer.name().to_owned(), siege.peer.configuration()));
        self.add(siege.idle(scale.more_knocks)?);
        for kind in KINDS {
            for rate in scale.rates {
                let knocks = scale.knocks_at(*rate);
                self.add(siege.flood(&mut generator, kind, *rate, knocks)?);
            }
        }
        self.add(siege.flood_from_socket(scale.knocks)?);
        let sources = growth::of_sources(&mut siege, &mut generator, gate, scale.more_knocks)?;
        self.sources.extend(sources);
        let shared =
            siege.flood_client_link(&mut generator, FORGED, Rate::Maximum, scale.knocks)?;
        self.add(shared);
        Ok(())
    }

    fn without_gate(
        &mut self,
        mut siege: Siege<'_>,
        generator: &mut Generator,
        kinds: &[Kind],
        scale: &Scale,
    ) -> Result<()> {
        self.peers.push((siege.peer.name().to_owned(), siege.peer.configuration()));
        self.add(siege.idle(scale.knocks)?);
        for kind in kinds {
            for rate in scale.rates_without_gate {
                self.add(siege.flood(generator, *kind, *rate, scale.knocks)?);
            }
        }
        self.add(siege.flood_from_socket(scale.knocks)?);
        Ok(())
    }

    fn add(&mut self, flood: Flood) {
        let latency = flood.knocks.latency_ms;
        println!(
            "   {:<12} {:<32} offered {:>8}/s, arrived {:>8}/s, {} of {} knocks ran{}",
            flood.peer,
            flood.title(),
            numbers::rate(flood.offered),
            numbers::rate(flood.achieved),
            flood.knocks.ran,
            flood.knocks.sent,
            latency
                .map(|ms| format!(", p50 {:.1} ms, p99 {:.1} ms", ms.median, ms.p99))
                .unwrap_or_default()
        );
        self.floods.push(flood);
    }
}
