//! The answers that a server must send: the load generator compares every byte of the answers.

use super::header::Header;

/// The right answers to a cycle of requests.
pub enum Answers {
    /// Answers of equal length, one behind the other, that repeat for ever.
    Exact { bytes: Vec<u8>, each: usize },
    /// HTTP responses with this body. The header may have any fields, with a correct Content-Length among them.
    Http { body: Vec<u8> },
}

/// The position of one connection in the answers.
#[derive(Default)]
pub struct Progress {
    /// The number of bytes of the present answer, or of the present body, that have come.
    at: usize,
    /// The number of whole answers.
    pub whole: u64,
    /// The number of the first answer in the cycle.
    first: usize,
    is_in_body: bool,
    header: Header,
}

impl Progress {
    /// Begins with the answer of this number in the cycle.
    pub fn new(first: usize) -> Self {
        Self { first, ..Self::default() }
    }

    /// Verifies received bytes.
    pub fn check(&mut self, answers: &Answers, input: &[u8]) -> Result<(), String> {
        match answers {
            Answers::Exact { bytes, each } => self.check_exact(bytes, *each, input),
            Answers::Http { body } => self.check_http(body, input),
        }
        .map_err(|wrong| format!("{wrong}, after {} whole answers", self.whole))
    }

    fn check_exact(&mut self, bytes: &[u8], each: usize, mut input: &[u8]) -> Result<(), String> {
        while !input.is_empty() {
            let position = (self.first as u64 + self.whole) * each as u64 + self.at as u64;
            let expected = &bytes[(position % bytes.len() as u64) as usize..];
            let length = expected.len().min(input.len());
            compare(&input[..length], &expected[..length])?;
            let total = self.at + length;
            (self.whole, self.at) = (self.whole + (total / each) as u64, total % each);
            input = &input[length..];
        }
        Ok(())
    }

    fn check_http(&mut self, body: &[u8], mut input: &[u8]) -> Result<(), String> {
        while !input.is_empty() {
            if !self.is_in_body {
                let Some(rest) = self.header.check(body.len(), input)? else { return Ok(()) };
                (input, self.at, self.is_in_body) = (rest, 0, true);
            }
            let length = input.len().min(body.len() - self.at);
            compare(&input[..length], &body[self.at..self.at + length])?;
            (input, self.at) = (&input[length..], self.at + length);
            if self.at == body.len() {
                self.is_in_body = false;
                self.whole += 1;
            }
        }
        Ok(())
    }
}

fn compare(found: &[u8], expected: &[u8]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let wrong =
        found.iter().zip(expected).position(|(found, expected)| found != expected).unwrap_or_default();
    let text =
        |bytes: &[u8]| String::from_utf8_lossy(&bytes[wrong..bytes.len().min(wrong + 40)]).into_owned();
    Err(format!("the server answered {:?} in place of {:?}", text(found), text(expected)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the number of whole answers, if the input comes in portions of this length.
    fn checked(answers: &Answers, input: &[u8], portion: usize) -> Result<u64, String> {
        let mut progress = Progress::default();
        input.chunks(portion).try_for_each(|part| progress.check(answers, part))?;
        Ok(progress.whole)
    }

    #[test]
    fn exact_answers_are_counted_in_any_portions() {
        let answers = Answers::Exact { bytes: b"one\ntwo\nsix\n".to_vec(), each: 4 };
        for portion in 1..=20 {
            assert_eq!(checked(&answers, b"one\ntwo\nsix\none\ntw", portion), Ok(4), "{portion}");
        }
        let wrong = checked(&answers, b"one\ntwo\nsiy\n", 5).unwrap_err();
        assert_eq!(wrong, "the server answered \"y\\n\" in place of \"x\\n\", after 2 whole answers");
        let mut second = Progress::new(1);
        assert_eq!(second.check(&answers, b"two\nsix\none\n").map(|()| second.whole), Ok(3));
    }

    #[test]
    fn responses_are_counted_in_any_portions() {
        let answers = Answers::Http { body: b"body".to_vec() };
        let one = "HTTP/1.1 200 OK\r\nDate: 1\r\ncontent-length: 4\r\n\r\nbody";
        let other = "HTTP/1.1 200 Ok\r\nContent-Length:4\r\nDate: 22\r\n\r\nbody";
        let input = [one, one, other, other, one].concat();
        for portion in 1..=input.len() {
            assert_eq!(checked(&answers, input.as_bytes(), portion), Ok(5), "{portion}");
        }
    }

    #[test]
    fn wrong_responses_are_errors() {
        let answers = Answers::Http { body: b"body".to_vec() };
        for (input, part) in [
            ("HTTP/1.1 404 Not Found\r\n\r\n", "the server answered \"HTTP/1.1 404 Not Found\""),
            ("HTTP/1.1 200 OK\r\n\r\nbody", "the Content-Length is [] in place of 4"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody", "[\"5\"] in place of 4"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyX", "no error"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbogy", "answered \"gy\" in place of \"dy\""),
        ] {
            let error = checked(&answers, input.as_bytes(), 1000).err().unwrap_or("no error".into());
            assert!(error.contains(part), "{error}");
        }
    }
}
