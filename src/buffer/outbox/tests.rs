use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    sync::Arc,
};

use proptest::{collection::vec, prelude::*};

use crate::{
    buffer::SharedBlocks,
    socket::file::{FileError, FileRange, SendFile},
};

use super::*;

/// A kernel that takes at most `takes` bytes in each call.
struct Kernel {
    taken: Vec<u8>,
    takes: usize,
}

impl Write for Kernel {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = bytes.len().min(self.takes);
        self.taken.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl SendFile for Kernel {}

/// Makes one write of at most `most` bytes of the outbox, as a connection does. Returns the number of slices.
fn write(outbox: &mut Outbox, kernel: &mut Kernel, most: usize) -> usize {
    let mut slices = Slices::new(most);
    let all = outbox.collect(&mut slices);
    assert!(!all || slices.bytes() == outbox.len().min(most), "unsent bytes were left out");
    let offered: Vec<u8> = slices.as_slice().iter().flat_map(|slice| slice.to_vec()).collect();
    let count = slices.as_slice().len();
    let taken = if count > 0 {
        kernel.write(&offered).expect("this kernel does not fail")
    } else {
        let sent = outbox.send_front_file(|file| kernel.send_file(file, most));
        sent.map_or(0, |sent| sent.expect("the file is whole"))
    };
    outbox.advance(taken);
    count
}

/// A file without a name that holds these bytes behind three other bytes.
fn file_of(bytes: &[u8]) -> Segment {
    let mut file = tempfile();
    file.write_all(b"...").expect("the disk has room");
    file.write_all(bytes).expect("the disk has room");
    file.seek(SeekFrom::Start(1)).expect("a file can seek"); // the position must not matter
    Segment::File(Box::new(FileRange::new(file, 3..3 + bytes.len() as u64, true)))
}

fn tempfile() -> File {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("tidegate-outbox-{}-{number}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path);
    std::fs::remove_file(&path).expect("the file was just made");
    file.expect("the folder for temporary files is writable")
}

fn shared(blocks: &mut SharedBlocks, bytes: &[u8]) -> Segment {
    let block: Arc<[u8]> = [b"#", bytes, b"##"].concat().into();
    Segment::Shared(blocks.share(&block, 1..1 + bytes.len()))
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Push(usize),
    Owned(usize),
    Shared(usize),
    File(usize),
    /// The kernel takes so many bytes of at most so many that it is handed.
    Write {
        takes: usize,
        most: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..40_usize).prop_map(Step::Push),
        1 => (0..90_000_usize).prop_map(Step::Push),
        1 => (0..300_usize).prop_map(Step::Owned),
        3 => (0..60_usize).prop_map(Step::Shared),
        1 => (0..100_usize).prop_map(Step::File),
        6 => (1..100_usize, 1..200_usize).prop_map(|(takes, most)| Step::Write { takes, most }),
        1 => (1..200_000_usize, 1..200_000_usize).prop_map(|(takes, most)| Step::Write { takes, most }),
    ]
}

proptest! {
    #![proptest_config(crate::cases::config())]

    #[test]
    fn the_kernel_gets_all_bytes_in_order_whatever_the_segments_and_the_cuts(steps in vec(step(), 0..60)) {
        let (mut outbox, mut blocks) = (Outbox::default(), SharedBlocks::default());
        let (mut kernel, mut sent) = (Kernel { taken: Vec::new(), takes: 0 }, 0_u32);
        let mut next = |n: usize| -> Vec<u8> {
            let bytes = (0..n as u32).map(|i| ((sent + i).wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
            sent += n as u32;
            bytes
        };
        let mut expected = Vec::new();
        for step in steps {
            match step {
                Step::Write { takes, most } => {
                    kernel.takes = takes;
                    if !outbox.is_empty() {
                        write(&mut outbox, &mut kernel, most);
                    }
                    continue;
                }
                Step::Push(n) => {
                    let bytes = next(n);
                    outbox.push(&bytes);
                    expected.extend(bytes);
                }
                Step::Owned(n) => {
                    let bytes = next(n);
                    expected.extend(&bytes);
                    outbox.push_segment(Segment::Owned(Owned::new(bytes)));
                }
                Step::Shared(n) => {
                    let bytes = next(n);
                    outbox.push_segment(shared(&mut blocks, &bytes));
                    expected.extend(bytes);
                }
                Step::File(n) => {
                    let bytes = next(n);
                    outbox.push_segment(file_of(&bytes));
                    expected.extend(bytes);
                }
            }
            prop_assert_eq!(outbox.len(), expected.len() - kernel.taken.len());
            prop_assert!(outbox.in_memory() <= outbox.len());
            prop_assert!(outbox.in_memory() as u64 <= outbox.capacity() as u64 + outbox.shared());
            // Each block is new and stands in one segment.
            prop_assert_eq!(outbox.shared(), blocks.held() as u64);
        }
        kernel.takes = usize::MAX;
        while !outbox.is_empty() {
            write(&mut outbox, &mut kernel, usize::MAX);
        }
        prop_assert!(kernel.taken == expected, "the bytes differ");
        prop_assert_eq!((outbox.capacity(), outbox.shared(), outbox.in_memory(), blocks.held()), (0, 0, 0, 0));
    }
}

#[test]
fn many_shared_pieces_leave_in_one_write_and_small_sends_stand_together() {
    let (mut outbox, mut blocks) = (Outbox::default(), SharedBlocks::default());
    let mut kernel = Kernel { taken: Vec::new(), takes: usize::MAX };
    for _ in 0..20 {
        outbox.push(b"head");
        outbox.push(b"er ");
        outbox.push_segment(shared(&mut blocks, b"body "));
    }
    assert_eq!(write(&mut outbox, &mut kernel, usize::MAX), 40);
    assert_eq!(kernel.taken, b"header body ".repeat(20));
}

#[test]
fn a_shared_block_is_freed_when_the_last_outbox_has_sent_it() {
    let mut blocks = SharedBlocks::default();
    let block: Arc<[u8]> = Arc::from([7; 1000]);
    let mut outboxes = [Outbox::default(), Outbox::default()];
    for outbox in &mut outboxes {
        outbox.push_segment(Segment::Shared(blocks.share(&block, 0..1000)));
    }
    let still_mine = Arc::downgrade(&block);
    drop(block);
    outboxes[0].advance(1000);
    assert!(still_mine.upgrade().is_some());
    outboxes[1].advance(999);
    assert_eq!((still_mine.strong_count(), blocks.held()), (1, 1000));
    outboxes[1].advance(1);
    assert_eq!((still_mine.strong_count(), blocks.held()), (0, 0));
}

#[test]
fn a_file_that_ends_before_its_range_is_an_error() {
    let mut outbox = Outbox::default();
    let mut file = tempfile();
    file.write_all(b"short").expect("the disk has room");
    outbox.push_segment(Segment::File(Box::new(FileRange::new(file, 0..9, true))));
    let mut kernel = Kernel { taken: Vec::new(), takes: usize::MAX };
    assert_eq!(write(&mut outbox, &mut kernel, usize::MAX), 0);
    assert_eq!((&kernel.taken[..], outbox.len()), (&b"short"[..], 4));
    let error = outbox.send_front_file(|file| kernel.send_file(file, 9)).expect("the file is in front");
    assert!(
        matches!(error, Err(FileError::File(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof)
    );
}

#[test]
fn a_long_queue_that_has_shrunk_gives_its_room_back() {
    let (mut outbox, mut blocks) = (Outbox::default(), SharedBlocks::default());
    for _ in 0..10_000 {
        outbox.push_segment(shared(&mut blocks, b"12345"));
    }
    assert!(outbox.capacity() >= 10_000 * size_of::<Segment>());
    outbox.advance(5 * 9_999);
    assert!(outbox.capacity() <= 64 * size_of::<Segment>(), "{} bytes", outbox.capacity());
}

/// The unsent bytes of an outbox with few segments.
fn pending(outbox: &Outbox) -> Vec<u8> {
    let mut slices = Slices::new(usize::MAX);
    assert!(outbox.collect(&mut slices));
    slices.as_slice().iter().flat_map(|slice| slice.to_vec()).collect()
}

#[test]
fn order_is_kept_across_pushes_and_partial_takes() {
    let mut outbox = Outbox::default();
    let (mut pushed, mut taken) = (0_u32, Vec::new());
    for step in 0..10_000_usize {
        let chunk: Vec<u8> = (0..step % 23).map(|i| (pushed as usize + i) as u8).collect();
        outbox.push(&chunk);
        pushed += chunk.len() as u32;
        let n = (step * 7 % 19).min(outbox.len());
        taken.extend_from_slice(&pending(&outbox)[..n]);
        outbox.advance(n);
    }
    taken.extend_from_slice(&pending(&outbox));
    assert!(taken.iter().enumerate().all(|(i, byte)| *byte == i as u8));
    assert_eq!(taken.len(), pushed as usize);
}

#[test]
fn an_empty_outbox_owns_no_storage() {
    let mut outbox = Outbox::default();
    outbox.push(&[1; 100_000]);
    outbox.advance(99_999);
    assert_eq!(outbox.len(), 1);
    outbox.advance(1);
    assert_eq!((outbox.is_empty(), outbox.capacity()), (true, 0));
}

#[test]
fn a_queue_that_never_runs_empty_does_not_grow() {
    let mut outbox = Outbox::default();
    outbox.push(&[0; 1000]);
    for _ in 0..10_000 {
        outbox.push(&[0; 700]);
        outbox.advance(700);
    }
    assert_eq!(outbox.len(), 1000);
    assert!(outbox.capacity() <= 8192, "{}", outbox.capacity());
}

#[test]
fn a_small_queue_that_never_runs_empty_owns_little_after_a_burst() {
    let mut outbox = Outbox::default();
    outbox.push(&[0; 4000]);
    outbox.advance(3900);
    for _ in 0..100 {
        outbox.push(&[0; 100]);
        outbox.advance(100);
    }
    assert_eq!(outbox.len(), 100);
    assert!(outbox.capacity() <= 2048, "{}", outbox.capacity());
}

#[test]
fn a_burst_that_is_over_gives_its_storage_back() {
    let mut outbox = Outbox::default();
    outbox.push(&vec![0; 1 << 20]);
    outbox.advance((1 << 20) - 10);
    outbox.push(&vec![0; 1 << 20]); // there is no room behind the rest, so the rest moves to the front
    outbox.advance(1 << 20);
    // The storage becomes full, and may shrink then, at least once for each capacity that was pushed.
    for _ in 0..2 * outbox.capacity() / 10_000 {
        outbox.push(&[0; 10_000]);
        outbox.advance(10_000);
    }
    assert!(outbox.capacity() < 1 << 20, "the outbox still owns {} bytes", outbox.capacity());
    assert_eq!(outbox.len(), 10);
}
