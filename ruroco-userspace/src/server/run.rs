//! The loop: waits for candidates, for keys, and for what the operator wants.

use std::{os::fd::AsFd, time::Instant};

use anyhow::Context;

use super::{
    clock::Now,
    floor_file::FloorFile,
    pauses::Pauses,
    sandbox::{self, Needs, Policy},
    serve::Server,
    source::Source,
};
use crate::{
    config::Config,
    key_directory::NamedKey,
    logging,
    service_manager::ServiceManager,
    signals::{Request, Signals},
    wait::wait,
};

/// What the service manager is told.
const READY: &str = "judging candidates";

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
    sandbox::enter(policy, &Needs::of(&config, source.network_socket()))?;

    let mut server = Server::new(config, keys, floors);
    service_manager.ready(READY);

    let mut pauses = Pauses::starting(Instant::now());
    loop {
        let now = Now::read();
        source.drain(now, &mut server)?;
        server.tidy(now);
        if let Some(end) = pauses.take(Instant::now()) {
            wait([Some(signals.as_fd())], Some(end)).context("could not pause")?;
        }
        let [one, other] = source.descriptors();
        let fds = [Some(signals.as_fd()), one, other];
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
                match server.reload(Now::read()) {
                    Ok(()) => service_manager.ready(READY),
                    Err(error) => {
                        logging::not_reloaded(&error);
                        service_manager.ready(&format!("{READY}; not reloaded: {error:#}"));
                    }
                }
            }
            None => {}
        }
    }
}
