//! Tests of the function that the example `kv` parses commands with: the result does not depend on how the input is split, and a
//! command that comes byte by byte is not parsed anew for each byte.

#[path = "../../../examples/kv/resp.rs"]
#[allow(dead_code, reason = "the tests need a part of the file")]
mod resp;

use resp::{Parsed, Words, parse};

/// The words of a command, and its length.
type Command = (Vec<Vec<u8>>, usize);

/// Feeds the parser as a connection does: the next call comes when as many bytes are there as the last call has asked for.
/// Returns the number of calls, and the command; `None` if the input is not the protocol.
fn feed(input: &[u8]) -> (usize, Option<Command>) {
    let (mut calls, mut end, mut args) = (0, 1, Words::new());
    loop {
        assert!(end <= input.len(), "the parser waits for bytes that the command does not have");
        calls += 1;
        match parse(&input[..end], &mut args) {
            Parsed::Command(len) => {
                let words = args.iter().map(|word| word.to_vec()).collect();
                return (calls, Some((words, len)));
            }
            Parsed::Incomplete(needed) => {
                assert!(needed > end, "the parser waits for no further byte");
                end = needed;
            }
            Parsed::Bad(_) => return (calls, None),
        }
    }
}

fn array(words: &[&[u8]]) -> Vec<u8> {
    let head = format!("*{}\r\n", words.len()).into_bytes();
    let word = |word: &&[u8]| [format!("${}\r\n", word.len()).as_bytes(), word, b"\r\n"].concat();
    [vec![head], words.iter().map(word).collect()].concat().concat()
}

#[test]
fn a_command_that_comes_byte_by_byte_is_the_whole_command() {
    for words in [
        &[&b"PING"[..]][..],
        &[b"", b""],
        &[b"SET", b"key", b"a value\r\nwith a line end"],
        &[b"MSET", b"a", b"", b"bb", b"1", b"", &[b'x'; 5000]],
    ] {
        let input = array(words);
        let expected = (words.iter().map(|word| word.to_vec()).collect(), input.len());
        assert_eq!(feed(&input).1, Some(expected), "{}", input.escape_ascii());
    }
    let expected = (vec![b"SET".to_vec(), b"a".to_vec(), b"b c".to_vec()], 15);
    assert_eq!(feed(b"SET a  \"b c\" \r\n").1, Some(expected));
}

#[test]
fn a_command_of_many_words_is_parsed_few_times() {
    for len in [0, 1, 20, 300] {
        let word = vec![b'x'; len];
        let input = array(&vec![&word[..]; 20_000]);
        let (calls, result) = feed(&input);
        assert_eq!(result.map(|(words, len)| (words.len(), len)), Some((20_000, input.len())));
        assert!(calls < 1000, "{calls} calls for words of {len} bytes");
    }
}

/// The line never ends, and is refused at its limit.
#[test]
fn the_length_of_a_word_with_many_digits_is_parsed_few_times() {
    let input = [&b"*1\r\n$"[..], &[b'1'; 200_000]].concat();
    let (calls, result) = feed(&input);
    assert_eq!(result, None);
    assert!(calls < 100, "{calls} calls");
}

#[test]
fn a_line_that_is_too_long_is_refused_when_its_limit_has_come() {
    let input = [&b"*1\r\n$"[..], &[b'1'; 65_536]].concat();
    assert!(matches!(parse(&input, &mut Words::new()), Parsed::Bad(_)));
    for cut in [5, 10, 38, 100, 40_000, 65_000, input.len() - 1] {
        let Parsed::Incomplete(need) = parse(&input[..cut], &mut Words::new()) else {
            panic!("the line is not at its limit")
        };
        assert!(need <= input.len(), "{need} bytes are needed after {cut}");
    }
}

#[test]
fn a_command_of_too_many_words_is_refused_by_its_first_line() {
    assert_eq!(feed(b"*1048577\r\n").1, None);
    assert!(matches!(parse(b"*1048576\r\n", &mut Words::new()), Parsed::Incomplete(_)));
    let (_, none) = feed(b"*-1\r\n");
    assert_eq!(none, Some((vec![], 5)));
}
