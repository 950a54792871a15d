//! The loop: waits for candidates, for keys, and for what the operator wants.

use std::{fmt, os::fd::AsFd, time::Instant};

use anyhow::Context;
use ruroco_config::Config;
use ruroco_daemon::{
    logging,
    service_manager::ServiceManager,
    signals::{Request, Signals},
    wait::wait,
};
use ruroco_keys::named_key::NamedKey;

use super::{
    clock::Now,
    floor_file::FloorFile,
    pauses::Pauses,
    refusals,
    sandbox::{self, Needs, Policy},
    serve::Server,
    source::Source,
};

/// Runs the server until it is told to end. A gate hands over the keys; without one there are these.
///
/// # Errors
/// What keeps it from starting, or from going on.
pub fn run(config: Config, keys: Vec<NamedKey>, policy: Policy) -> anyhow::Result<()> {
    let mut signals = Signals::handle().context("could not handle signals")?;
    let mut service_manager = ServiceManager::of_environment();
    if let Some(problem) = config.check_floors_left_behind() {
        return Err(problem.into());
    }
    let ids = keys.iter().map(|named| named.key.id);
    let floors = FloorFile::open(&config.blocklist_dir, ids, Now::read().epoch)?;
    let mut source = Source::open(&config)?;
    let record = refusals::open_or_warn(&config.blocklist_dir);
    sandbox::enter(policy, &Needs::of(&config, source.network_socket()))?;

    let mut server = Server::new(config, keys, floors);
    if let Some(record) = record {
        server = server.recording(record);
    }
    let mut status = Status::of(&source, &server);
    service_manager.ready(&status.to_string());

    let mut pauses = Pauses::starting(Instant::now());
    loop {
        let now = Now::read();
        source.drain(now, &mut server)?;
        server.tidy(now);
        if !status.is_of(&source, &server) {
            status = Status::of(&source, &server);
            service_manager.status(&status.to_string());
        }
        if let Some(end) = pauses.take(Instant::now()) {
            wait([Some(signals.as_fd())], Some(end)).context("could not pause")?;
        }
        let [one, other] = source.descriptors();
        let fds = [Some(signals.as_fd()), one, other, server.commander()];
        let wake = source.next_attempt().into_iter().chain(server.next_due()).min();
        let wake = wake.and_then(|at| Instant::now().checked_add(at.saturating_sub(now.boot)));
        let wake = wake.into_iter().chain(service_manager.next_sign_of_life()).min();
        wait(fds, wake).context("could not wait for candidates")?;
        service_manager.give_sign_of_life(Instant::now());
        match signals.next_request() {
            Some(Request::End) => {
                tracing::info!("ending");
                service_manager.stopping();
                return Ok(());
            }
            Some(Request::Reload) => {
                service_manager.reloading();
                let outcome = server.reload(Now::read(), source.passed_port());
                status = Status::of(&source, &server);
                match outcome {
                    Ok(()) => service_manager.ready(&status.to_string()),
                    Err(error) => {
                        logging::not_reloaded(&error);
                        service_manager.ready(&format!("{status}; not reloaded: {error:#}"));
                    }
                }
            }
            None => {}
        }
    }
}

/// What the server does, and what it waits for, as the service manager was last told.
#[derive(Debug)]
struct Status {
    has_source: bool,
    keys: usize,
    waits_because: Option<String>,
}

impl Status {
    fn of(source: &Source, server: &Server) -> Self {
        let waits_because = source.waits_because().map(str::to_owned);
        Self { has_source: source.is_there(), keys: server.keys_in_force(), waits_because }
    }

    /// Whether it still is so. Asked after every wait, so it takes no memory.
    fn is_of(&self, source: &Source, server: &Server) -> bool {
        self.has_source == source.is_there()
            && self.keys == server.keys_in_force()
            && self.waits_because.as_deref() == source.waits_because()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.has_source {
            let plural = if self.keys == 1 { "" } else { "s" };
            write!(f, "judging candidates, {} key{plural}", self.keys)?;
        }
        let Some(why) = &self.waits_because else { return Ok(()) };
        let before = if self.has_source { "; " } else { "" };
        write!(f, "{before}waiting for the gate: {why}")
    }
}
