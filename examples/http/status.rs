//! The statuses of answers, RFC 9110 and RFC 6585.

/// The code and the reason of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status(pub &'static str);

impl Status {
    pub const OK: Self = Self("200 OK");
    pub const PARTIAL_CONTENT: Self = Self("206 Partial Content");
    pub const MOVED_PERMANENTLY: Self = Self("301 Moved Permanently");
    pub const NOT_MODIFIED: Self = Self("304 Not Modified");
    pub const BAD_REQUEST: Self = Self("400 Bad Request");
    pub const FORBIDDEN: Self = Self("403 Forbidden");
    pub const NOT_FOUND: Self = Self("404 Not Found");
    pub const METHOD_NOT_ALLOWED: Self = Self("405 Method Not Allowed");
    pub const REQUEST_TIMEOUT: Self = Self("408 Request Timeout");
    pub const CONTENT_TOO_LARGE: Self = Self("413 Content Too Large");
    pub const RANGE_NOT_SATISFIABLE: Self = Self("416 Range Not Satisfiable");
    pub const EXPECTATION_FAILED: Self = Self("417 Expectation Failed");
    pub const HEAD_TOO_LARGE: Self = Self("431 Request Header Fields Too Large");
    pub const NOT_IMPLEMENTED: Self = Self("501 Not Implemented");
    pub const UNAVAILABLE: Self = Self("503 Service Unavailable");
    pub const VERSION_NOT_SUPPORTED: Self = Self("505 HTTP Version Not Supported");
}
