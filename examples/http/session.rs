//! The course of a connection: requests are found in the input, and answers are sent. The functions know the state of a
//! connection and its sending half, and not the rest of the program.

use std::time::{Duration, Instant};

use tidegate::{Flow, Output};

use crate::files::Root;
use crate::request::{self, Body, Connection, Method, Request};
use crate::response::{Answers, Reply};
use crate::status::Status;

/// The state of a connection.
#[derive(Default)]
pub struct Session {
    /// The request whose body is being discarded.
    upload: Option<Box<Upload>>,
    /// The time at which an incomplete request began.
    begun: Option<Instant>,
    /// The timer of the connection is set. The timer is not cancelled when the request is complete, so that a request costs no
    /// timer operation.
    has_timer: bool,
    /// The last answer is sent, and the connection is closed when the client has taken enough of the answer.
    pub ends: bool,
}

impl Session {
    /// The connection is in the middle of a body.
    pub fn is_uploading(&self) -> bool {
        self.upload.is_some()
    }
}

/// A request is answered when its body has ended, so that an error in the body can be answered in place of the request.
struct Upload {
    body: Body,
    reply: Reply,
    is_head: bool,
    connection: Connection,
}

/// The tag of the timer of a connection.
const REQUEST: u64 = 0;

/// The result of a look at the first bytes of the input.
enum Step {
    /// More bytes are needed.
    Incomplete,
    /// This many bytes of a request were consumed, and the request is not complete.
    Advanced(usize),
    /// The last bytes of a request were consumed, and the request is answered.
    Answered(usize, Flow),
}

/// The state that all connections share.
pub struct Site {
    pub root: Option<Root>,
    pub answers: Answers,
    /// The time in which a request has to be complete; zero is no limit.
    pub request_timeout: Duration,
    /// The server ends. The answer to the last request that is there says that the connection is closed.
    pub is_draining: bool,
}

impl Site {
    /// Answers the requests of the input, and returns how many bytes of the input are consumed.
    pub fn on_input(&mut self, session: &mut Session, out: &mut Output<'_>, input: &[u8]) -> usize {
        self.answers.update(out.now());
        let (mut used, mut answered, mut is_full) = (0, false, false);
        while used < input.len() && !session.ends && !is_full {
            let rest = &input[used..];
            let step = match session.upload {
                None => self.begin_request(session, out, rest),
                Some(_) => self.go_on_with_body(session, out, rest),
            };
            match step {
                Ok(Step::Answered(len, flow)) => {
                    (used, answered) = (used + len, true);
                    is_full = flow != Flow::Open; // the other requests are shown again when the client has read enough
                }
                Ok(Step::Advanced(len)) => used += len,
                Ok(Step::Incomplete) => {
                    out.need(rest.len() + 1); // no call before a further byte has come
                    break;
                }
                Err(status) => {
                    let begin = rest.trim_ascii_start();
                    let is_head =
                        session.upload.as_ref().map_or(begin.starts_with(b"HEAD "), |upload| upload.is_head);
                    self.refuse(session, out, status, is_head);
                }
            }
        }
        if session.ends {
            return input.len(); // requests behind the last answer are discarded
        }
        if is_full || (used == input.len() && session.upload.is_none()) {
            session.begun = None;
        } else if answered || session.begun.is_none() {
            self.limit_time(session, out);
        }
        used
    }

    /// Finds the first request of `input`, and answers the request if it has no body.
    fn begin_request(
        &mut self,
        session: &mut Session,
        out: &mut Output<'_>,
        input: &[u8],
    ) -> Result<Step, Status> {
        let Some(request) = request::parse(input)? else { return Ok(Step::Incomplete) };
        let is_last = self.is_draining && request.len == input.len();
        if request.is_plain() && request.path == "/plaintext" && !is_last {
            return Ok(Step::Answered(request.len, out.send_all(self.answers.plaintext())));
        }
        let (reply, is_head) = (self.route(&request), request.method == Method::Head);
        let mut connection = request.connection;
        match Body::new(request.framing) {
            Some(body) if !request.expects_answer => {
                session.upload = Some(Box::new(Upload { body, reply, is_head, connection }));
                if self.is_draining {
                    out.close_when_idle(Duration::MAX); // a client that pauses in a body would look idle
                }
                return Ok(Step::Advanced(request.len));
            }
            // The client waits for an answer before it sends the body, and no answer of this server depends on a body. The
            // client may send the body nevertheless, so the next request could not be found: RFC 9110, 10.1.1.
            Some(_) => connection = Connection::Close,
            None if is_last => connection = Connection::Close,
            None => {}
        }
        Ok(Step::Answered(request.len, self.answer(session, out, reply, is_head, connection)))
    }

    /// Discards a part of a body, and answers the request at the end of the body.
    fn go_on_with_body(
        &mut self,
        session: &mut Session,
        out: &mut Output<'_>,
        input: &[u8],
    ) -> Result<Step, Status> {
        let Some(upload) = &mut session.upload else { return Ok(Step::Incomplete) };
        let (len, is_whole) = upload.body.discard(input)?;
        let upload = if is_whole { session.upload.take() } else { None };
        let Some(upload) = upload else {
            return Ok(if len == 0 { Step::Incomplete } else { Step::Advanced(len) });
        };
        let Upload { reply, is_head, connection, .. } = *upload;
        let is_last = self.is_draining && len == input.len();
        let connection = if is_last { Connection::Close } else { connection };
        Ok(Step::Answered(len, self.answer(session, out, reply, is_head, connection)))
    }

    fn route(&self, request: &Request<'_>) -> Reply {
        match (request.method, &self.root) {
            (Method::Unknown, _) => Reply::Error(Status::NOT_IMPLEMENTED),
            (Method::Known, _) => Reply::Error(Status::METHOD_NOT_ALLOWED),
            _ if request.path == "/plaintext" => Reply::Plaintext,
            (_, Some(root)) => root.find(request),
            (_, None) => Reply::Error(Status::NOT_FOUND),
        }
    }

    fn answer(
        &mut self,
        session: &mut Session,
        out: &mut Output<'_>,
        reply: Reply,
        is_head: bool,
        connection: Connection,
    ) -> Flow {
        let flow = self.answers.send(out, reply, is_head, connection);
        if connection == Connection::Close {
            (session.ends, session.begun, session.upload) = (true, None, None);
            if flow != Flow::Full {
                out.close(); // delivers the answer, and discards input, so that no reset destroys the answer
            }
        }
        flow
    }

    /// Answers with an error and closes the connection, because the next request cannot be found or is not wanted.
    fn refuse(&mut self, session: &mut Session, out: &mut Output<'_>, status: Status, is_head: bool) {
        self.answer(session, out, Reply::Error(status), is_head, Connection::Close);
    }

    /// A request is incomplete, and has the request timeout from now on.
    fn limit_time(&self, session: &mut Session, out: &mut Output<'_>) {
        if self.request_timeout.is_zero() {
            return;
        }
        session.begun = Some(out.now());
        if !session.has_timer {
            session.has_timer = true;
            out.after(self.request_timeout, REQUEST);
        }
    }

    /// The timer is that of the present request, or of a request that was complete in time.
    pub fn on_timeout(&mut self, session: &mut Session, out: &mut Output<'_>) {
        session.has_timer = false;
        let Some(begun) = session.begun else { return };
        let end = begun + self.request_timeout;
        if out.now() < end {
            session.has_timer = true;
            out.set_timeout(end, REQUEST);
        } else if session.upload.is_none() && out.unconsumed().iter().all(u8::is_ascii_whitespace) {
            out.close(); // some clients send a line end behind a body, and no request has begun
        } else {
            self.answers.update(out.now());
            let is_head = session.upload.as_ref().is_some_and(|upload| upload.is_head);
            self.refuse(session, out, Status::REQUEST_TIMEOUT, is_head);
        }
    }
}
