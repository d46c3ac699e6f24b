//! hyper on tokio's current_thread runtime, a task for each client. `pipeline_flush` gathers the responses to requests that
//! came together.

use std::convert::Infallible;
use std::io;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use super::super::tokio_loop;
use crate::protocol::PLAINTEXT;

pub fn serve(listener: std::net::TcpListener) -> io::Result<()> {
    let mut server = http1::Builder::new();
    server.pipeline_flush(true);
    tokio_loop::run(listener, move |stream| {
        let connection = server.serve_connection(TokioIo::new(stream), service_fn(answer));
        tokio::spawn(async {
            // The client reports the end of a connection that the server should not have ended.
            let _ = connection.await;
        });
    })
}

async fn answer(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(PLAINTEXT.as_bytes())));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}
