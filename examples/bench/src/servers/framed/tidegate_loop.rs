//! The two servers with this crate. The server `tidegate` parses the frames with `framing`. The server `tidegate-all`
//! consumes all input and parses no frames, so the difference between the two servers is the cost of framing.

use std::io;

use tidegate::{Accepted, Conn, Handler, Net, framing};

use crate::protocol::{LONGEST_FRAME, Ledger};

/// Serves streams of frames. With `parses`, the server parses the frames; otherwise the server only counts bytes.
pub fn serve(parses: bool) -> io::Result<()> {
    if parses { super::super::run_tidegate(&mut Frames) } else { super::super::run_tidegate(&mut All) }
}

struct Frames;

impl Handler for Frames {
    type Session = Ledger;

    fn on_accept(&mut self, _net: &mut Net<Ledger>, _from: &Accepted) -> Option<Ledger> {
        Some(Ledger::default())
    }

    fn on_data(&mut self, conn: &mut Conn<'_, Ledger>, input: &[u8]) -> usize {
        let (ledger, mut out) = conn.split();
        let mut frames = framing::u32_be(input, LONGEST_FRAME);
        for frame in &mut frames {
            match frame {
                Ok(frame) => ledger.add(frame),
                Err(_) => {
                    conn.abort();
                    return frames.used();
                }
            }
        }
        if let Some(acknowledgement) = ledger.due() {
            out.send_all(&acknowledgement);
        }
        conn.need(frames.needed());
        frames.used()
    }

    fn on_eof(&mut self, conn: &mut Conn<'_, Ledger>) {
        end(conn);
    }
}

struct All;

impl Handler for All {
    type Session = Ledger;

    fn on_accept(&mut self, _net: &mut Net<Ledger>, _from: &Accepted) -> Option<Ledger> {
        Some(Ledger::default())
    }

    fn on_data(&mut self, conn: &mut Conn<'_, Ledger>, input: &[u8]) -> usize {
        let (ledger, mut out) = conn.split();
        ledger.add_bytes(input.len());
        if let Some(acknowledgement) = ledger.due() {
            out.send_all(&acknowledgement);
        }
        input.len()
    }

    fn on_eof(&mut self, conn: &mut Conn<'_, Ledger>) {
        end(conn);
    }
}

fn end(conn: &mut Conn<'_, Ledger>) {
    if let Some(acknowledgement) = conn.session().last() {
        conn.send_all(&acknowledgement);
    }
    conn.close();
}
