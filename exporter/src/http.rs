//! The HTTP server: `/metrics`, `/-/healthy`, a landing page, and nothing else.
//!
//! One thread serves, another collects. Each thing that a client can hold has a limit: headers,
//! connections, requests in flight, and time.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{Request, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use crate::{
    collect::{Names, Options, Registry},
    weigh::Share,
};

mod answer;
mod bind;
mod flight;

pub use bind::{BindError, bind};

use flight::Flight;

/// What clients may hold, and for how long.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Largest head of a request, in bytes; hyper's smallest is 8 KiB.
    head: usize,
    /// How long a client may take to send the head of a request, or stay idle before the next.
    head_timeout: Duration,
    /// Open connections; further clients wait in the kernel's queue.
    connections: u32,
    /// Requests that are being answered; further ones get 503.
    in_flight: usize,
    /// A connection is closed after this, when the request in flight is answered.
    connection_deadline: Duration,
    /// How long a request in flight may still take when its connection is to be closed.
    grace: Duration,
    /// How long a collection may take for a reader that does not say how long it waits.
    patience: Duration,
}

const LIMITS: Limits = Limits {
    head: 16 << 10,
    head_timeout: Duration::from_secs(5),
    connections: 512,
    // As many as node_exporter's --web.max-requests.
    in_flight: 40,
    connection_deadline: Duration::from_secs(300),
    grace: Duration::from_secs(10),
    patience: Duration::from_secs(60),
};

/// A server for one registry of collectors.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    connections: Arc<Semaphore>,
}

#[derive(Debug)]
struct Shared {
    flight: Flight,
    in_flight: Semaphore,
    limits: Limits,
}

impl Server {
    /// A server that publishes what this registry collects, in so much of the time.
    pub fn new(registry: Registry, share: Share) -> Self {
        Self::with_limits(registry, share, LIMITS)
    }

    fn with_limits(registry: Registry, share: Share, limits: Limits) -> Self {
        // A platform with 16-bit addresses is none of Nix's.
        let connections = usize::try_from(limits.connections).unwrap_or(usize::MAX);
        Self {
            shared: Arc::new(Shared {
                flight: Flight::new(registry, share),
                in_flight: Semaphore::new(limits.in_flight),
                limits,
            }),
            connections: Arc::new(Semaphore::new(connections)),
        }
    }

    /// These collectors with these settings from the next collection on; one under way ends as it
    /// began.
    pub fn heed(&self, names: Names, options: Options) {
        self.shared
            .flight
            .change(Box::new(move |registry| registry.heed(&names, &options)));
    }

    /// Collections may take this share of the time from now on.
    pub fn hold_to(&self, share: Share) {
        self.shared.flight.hold_to(share);
    }

    /// Serves these sockets until `stop` becomes true; then no connection is accepted any more,
    /// requests in flight are answered, and the call returns within ten seconds.
    pub async fn serve(&self, listeners: Vec<TcpListener>, stop: watch::Receiver<bool>) {
        let mut accepting = tokio::task::JoinSet::new();
        for listener in listeners {
            let shared = Arc::clone(&self.shared);
            let connections = Arc::clone(&self.connections);
            accepting.spawn(accept(listener, shared, connections, stop.clone()));
        }
        while accepting.join_next().await.is_some() {}
        let limits = &self.shared.limits;
        // Every permit is back when every connection is closed.
        if timeout(
            limits.grace,
            self.connections.acquire_many(limits.connections),
        )
        .await
        .is_err()
        {
            warn!("connections were still open at the end");
        }
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    connections: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            _ = stopped(&mut stop) => return,
            accepted = next(&listener, &connections) => accepted,
        };
        match accepted {
            Some((stream, peer, permit)) => {
                tokio::spawn(connection(
                    stream,
                    peer,
                    permit,
                    Arc::clone(&shared),
                    stop.clone(),
                ));
            }
            // No file descriptor is left (EMFILE), or the client is gone already: let others end.
            None => sleep(Duration::from_secs(1)).await,
        }
    }
}

/// The next client, once there is room for one.
async fn next(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            warn!(%error, "cannot accept a connection");
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    _permit: OwnedSemaphorePermit,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let limits = shared.limits;
    let service = service_fn(|request: Request<_>| answer::to(&shared, request));
    // Without the timer hyper has no header_read_timeout at all.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stopped(&mut stop) => None,
        () = sleep(limits.connection_deadline) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            match timeout(limits.grace, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%peer, %error, "connection broke off");
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone cannot say stop any more: that is a stop, too.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests;
