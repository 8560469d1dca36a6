//! Accepting connections, and what a connection may take: of places, of time for its headers, of time in all.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;

use super::http::{self, App, Peer};

/// Connections beside those of clients.
const CONNECTIONS_BESIDE: usize = 64;
/// Connections that are told at a time that there are too many from their address. More are closed without a word.
const REFUSALS: usize = 16;
/// Time for one to ask and be told.
const REFUSAL: Duration = Duration::from_secs(1);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Time for clients to be told that it ends.
const FAREWELL: Duration = Duration::from_millis(300);

/// Accepts connections until the gateway is stopped.
pub(super) async fn serve(listener: std::net::TcpListener, app: Arc<App>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = http::router(Arc::clone(&app));
    let places = Arc::new(Semaphore::new(app.options.clients_max + CONNECTIONS_BESIDE));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let mut stop = app.stop.clone();
    let timeouts = app.options.timeouts;
    loop {
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => (stream, peer.ip()),
                Err(error) => {
                    // too many files: others will end
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            _ = stop.wait_for(|stopped| *stopped) => break,
        };
        // one too many is told so, and takes the place of no other
        let refused = !app.admit(address);
        let (places, within) = if refused { (&refusals, REFUSAL) } else { (&places, timeouts.request) };
        let Ok(place) = Arc::clone(places).try_acquire_owned() else {
            app.refuse();
            continue;
        };
        let peer = Peer::new(address, refused);
        let router = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            router.call(request)
        });
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(timeouts.head).max_buf_size(HEAD_BYTES_MAX);
            let connection = server.serve_connection(TokioIo::new(stream), service).with_upgrades();
            // what goes wrong here is the other side's doing
            let _ = tokio::time::timeout(within, connection).await;
            drop(place);
        });
    }
    tokio::time::sleep(FAREWELL).await;
    Ok(())
}
