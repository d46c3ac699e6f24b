//! Tests of streams of messages: the messages are the same, wherever a receive cuts the stream, and a connection owns no more
//! than the incomplete message.

use std::{io::Write, net::Shutdown, thread};

use tidegate::{Accepted, CloseKind, Conn, Flow, Handler, Net, Options, framing, testing::Rehearsal};

use crate::support::{Server, assert_same, pattern, read_to_end};

const MAX: usize = 256 << 10;

/// Collects frames, and sends each of them back.
#[derive(Default)]
struct Frames {
    /// If true, the handler says after each call how many bytes it needs.
    needs: bool,
    frames: Vec<Vec<u8>>,
    calls: usize,
}

impl Handler for Frames {
    type Session = ();

    fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
        Some(())
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
        self.calls += 1;
        let mut frames = framing::u32_be(input, MAX);
        for frame in &mut frames {
            let frame = frame.expect("no frame is too long");
            self.frames.push(frame.to_vec());
            let length = conn.send_all(&(frame.len() as u32).to_be_bytes());
            if length.max(conn.send_all(frame)) != Flow::Open {
                break;
            }
        }
        if self.needs {
            conn.need(frames.needed());
        }
        frames.used()
    }
}

/// Returns frames of these lengths, and the stream that they make.
fn frames_of(lengths: &[usize]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let frames: Vec<Vec<u8>> = (1..).zip(lengths).map(|(seed, length)| pattern(*length, seed)).collect();
    let stream = frames.iter().flat_map(|frame| [&(frame.len() as u32).to_be_bytes(), &frame[..]].concat());
    let stream = stream.collect();
    (frames, stream)
}

/// The streams that the tests cut: from frames without a byte to frames that are as large as the inbox allows.
const STREAMS: [&[usize]; 6] = [
    &[0, 1, 0, 0, 3, 2, 5, 0],
    &[1000; 30],
    &[100, 5000, 3, 0, 4096, 4092, 700, 20_000, 1],
    &[40_001; 20],
    &[200_003; 6],
    &[MAX, 0, MAX - 1, 10, MAX, 131_072, 131_068, MAX],
];

#[test]
fn frames_are_the_same_wherever_the_stream_is_cut() {
    for (lengths, needs) in STREAMS.into_iter().flat_map(|lengths| [(lengths, false), (lengths, true)]) {
        let (frames, stream) = frames_of(lengths);
        for portion in [1, 3, 997, 1004, 4096, 65_536, 200_000, usize::MAX] {
            if stream.len() / portion > 100_000 {
                continue;
            }
            let mut handler = Frames { needs, ..Frames::default() };
            let mut rehearsal = Rehearsal::new(Options::default());
            let client = rehearsal.accept(&mut handler).unwrap();
            for part in stream.chunks(portion) {
                rehearsal.receive(&mut handler, client, part);
            }
            assert!(handler.frames == frames, "{lengths:?} in portions of {portion}, needs: {needs}");
            assert_same(&rehearsal.sent(client), &stream);
            assert_eq!(rehearsal.net().stats().buffered, 0);
            rehearsal.eof(&mut handler, client);
            assert_eq!(rehearsal.why(client), Some(CloseKind::Eof));
        }
    }
}

#[test]
fn frames_are_the_same_wherever_a_small_read_buffer_ends() {
    let (frames, stream) = frames_of(&[10, 0, 37, 120, 64, 1, 200, 5, 5, 90]);
    for (read_buffer, needs) in (1..150).flat_map(|size| [(size, false), (size, true)]) {
        let mut handler = Frames { needs, ..Frames::default() };
        let mut rehearsal = Rehearsal::new(Options::default().read_buffer(read_buffer).max_inbox(200));
        let client = rehearsal.accept(&mut handler).unwrap();
        rehearsal.receive(&mut handler, client, &stream);
        assert!(handler.frames == frames, "a read buffer of {read_buffer} bytes, needs: {needs}");
        assert_same(&rehearsal.sent(client), &stream);
    }
}

#[test]
fn frames_come_back_over_a_socket() {
    for needs in [false, true] {
        let server = Server::start(Options::default(), Frames { needs, ..Frames::default() });
        let mut client = server.connect();
        let (frames, stream) = frames_of(&STREAMS.concat().repeat(2));
        thread::scope(|scope| {
            let mut sending = client.try_clone().unwrap();
            let stream = &stream;
            scope.spawn(move || {
                let (mut rest, mut sizes) = (&stream[..], [1, 100_000, 7, 300_000, 4000].into_iter().cycle());
                while !rest.is_empty() {
                    let (part, others) = rest.split_at(rest.len().min(sizes.next().unwrap()));
                    sending.write_all(part).unwrap();
                    rest = others;
                }
                sending.shutdown(Shutdown::Write).unwrap();
            });
            assert_same(&read_to_end(&mut client), stream);
        });
        let (handler, _) = server.stop();
        assert!(handler.frames == frames, "needs: {needs}");
    }
}

#[test]
fn a_stream_of_frames_is_read_much_at_a_time_again_after_its_outbox_was_full() {
    let (_, stream) = frames_of(&[1000; 3000]);
    for needs in [false, true] {
        let mut handler = Frames { needs, ..Frames::default() };
        let mut rehearsal = Rehearsal::new(Options::default());
        let client = rehearsal.accept(&mut handler).unwrap();
        let (first, rest) = stream.split_at(300_000);
        rehearsal.capacity(client, 0);
        rehearsal.receive(&mut handler, client, first);
        assert!(rehearsal.net().stats().reads_paused > 0);
        rehearsal.capacity(client, usize::MAX);
        rehearsal.settle(&mut handler);
        let before = rehearsal.net().stats().receives;
        rehearsal.receive(&mut handler, client, rest);
        let receives = rehearsal.net().stats().receives - before;
        assert!(receives <= rest.len() as u64 / 200_000, "{receives} for {} bytes", rest.len());
        assert_eq!(handler.frames.len(), 3000);
    }
}

#[test]
fn a_connection_in_the_middle_of_a_frame_owns_little_more_than_the_frame() {
    const FRAME: usize = 1004;
    let (_, stream) = frames_of(&[1000; 300]);
    for needs in [false, true] {
        let mut handler = Frames { needs, ..Frames::default() };
        let mut rehearsal = Rehearsal::new(Options::default());
        let client = rehearsal.accept(&mut handler).unwrap();
        let mut rest = &stream[..];
        // The portions are from some bytes to many frames.
        for portion in [10, 3000, 990, 1, 700, 100_000, 60, 20_011, 5, 999, 1003, 2, 50_000].repeat(2) {
            let (part, others) = rest.split_at(portion.min(rest.len()));
            rehearsal.receive(&mut handler, client, part);
            rest = others;
            let is_in_a_frame = (stream.len() - rest.len()) % FRAME != 0;
            let owned = rehearsal.net().stats().buffered;
            assert_eq!(owned > 0, is_in_a_frame);
            assert!(owned <= 2048, "{owned} bytes after a portion of {portion} bytes");
        }
    }
}

#[test]
fn a_message_of_max_inbox_bytes_fits_whatever_frames_it() {
    /// Takes lines or frames of up to `max_inbox` bytes.
    struct Longest {
        lines: bool,
        lengths: Vec<Result<usize, framing::TooLong>>,
    }

    impl Handler for Longest {
        type Session = ();

        fn on_accept(&mut self, _net: &mut Net, _from: &Accepted) -> Option<()> {
            Some(())
        }

        fn on_data(&mut self, conn: &mut Conn<'_>, input: &[u8]) -> usize {
            let max = conn.net().options().max_inbox;
            if self.lines {
                let mut lines = framing::lines(input, max);
                self.lengths.extend(lines.by_ref().map(|line| line.map(<[u8]>::len)));
                lines.used()
            } else {
                let mut frames = framing::u32_be(input, max);
                self.lengths.extend(frames.by_ref().map(|frame| frame.map(<[u8]>::len)));
                conn.need(frames.needed());
                frames.used()
            }
        }
    }

    for max in [1, 10, 3000] {
        let line = |len: usize, end: &str| [&vec![b'.'; len], end.as_bytes()].concat();
        let frame = |len: usize| [&(len as u32).to_be_bytes(), &vec![b'.'; len][..]].concat();
        let cases = [
            (true, line(max, "\n"), line(max + 1, "\n")),
            (true, line(max, "\r\n"), line(max + 1, "\r\n")),
            (false, frame(max), frame(max + 1)),
        ];
        for ((lines, longest, too_long), portion) in cases.iter().flat_map(|case| [(case, 1), (case, 9999)]) {
            let mut handler = Longest { lines: *lines, lengths: vec![] };
            let mut rehearsal = Rehearsal::new(Options::default().max_inbox(max));
            let client = rehearsal.accept(&mut handler).unwrap();
            let mut receive = |handler: &mut Longest, bytes: &[u8]| {
                for part in bytes.chunks(portion) {
                    rehearsal.receive(handler, client, part);
                }
                rehearsal.why(client)
            };
            assert_eq!(receive(&mut handler, &longest.repeat(3)), None);
            assert_eq!(handler.lengths, [Ok(max); 3]);
            receive(&mut handler, too_long);
            assert_eq!(
                handler.lengths[3],
                Err(framing::TooLong),
                "the handler is told before the inbox is full"
            );
        }
    }
}
