//! The running program: sockets, signals, and the way from one configuration to the next.

use std::{io, thread, time::Duration};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
};
use snowguard_exporter::{
    collect::Registry,
    config::Settings,
    http::{Server, bind},
};
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::{Failure, cli::Arguments};

/// Serves until a signal ends the program.
pub(crate) fn serve(arguments: &Arguments, settings: Settings) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Start)?;
    let ended = runtime.block_on(until_signal(arguments, settings));
    // A collection may hang on a dead file system; it changes nothing, so it can be left behind.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn until_signal(arguments: &Arguments, mut settings: Settings) -> Result<(), Failure> {
    // Before the sockets, so that a signal is never met by its default once we can be reached.
    let mut signals = signals().map_err(Failure::Start)?;
    let listeners = bind(&settings.listen).await?;
    let layout = arguments.layout();
    for listener in &listeners {
        let address = listener.local_addr().map_err(Failure::Start)?;
        info!(%address, root = %layout.root().display(), "listening");
    }
    let names: Vec<_> = settings.collectors.iter().map(|c| c.as_str()).collect();
    info!(collectors = names.join(","), "collecting");
    let server = Server::new(
        Registry::with_options(layout, &settings.collectors, &settings.collecting()),
        settings.collect_share,
    );
    let (stop, stopped) = watch::channel(false);
    let serving = server.serve(listeners, stopped);
    let commanding = async {
        while let Some(signal) = signals.recv().await {
            if signal != SIGHUP {
                info!(signal, "ending when the requests in flight are answered");
                break;
            }
            reload(arguments, &server, &mut settings);
        }
        stop.send_replace(true);
    };
    tokio::join!(serving, commanding);
    Ok(())
}

/// A bad configuration changes nothing.
fn reload(arguments: &Arguments, server: &Server, settings: &mut Settings) {
    let path = arguments.config_path();
    let path = path.display();
    let new = match arguments.settings() {
        Ok(new) => new,
        Err(error) => {
            error!(%error, "the configuration in force is kept");
            return;
        }
    };
    if new.listen != settings.listen {
        warn!(
            %path,
            "exporter.listen has changed; restart to listen there"
        );
    }
    if new.collectors != settings.collectors || new.collecting() != settings.collecting() {
        server.heed(new.collectors.clone(), new.collecting());
    }
    server.hold_to(new.collect_share);
    info!(%path, "configuration read again");
    *settings = new;
}

/// The signals that this program answers, as they come.
fn signals() -> io::Result<mpsc::UnboundedReceiver<i32>> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if sender.send(signal).is_err() {
                    return;
                }
            }
        })?;
    Ok(receiver)
}
