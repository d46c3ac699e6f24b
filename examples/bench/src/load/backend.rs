//! The backend of a proxy. The backend runs on the thread of the load generator, between two looks at the poll.
//!
//! A backend in a process of its own would need a third core. On the core of the load generator, which never sleeps, such a
//! process would wait for a share of the core, and a proxy would spend time on waking the process.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;

use crate::servers::{self, bare, framed, mio_loop};

/// The buffer of the backend with an echo. The buffer is large, so that the backend takes little time.
const BUFFER: usize = 256 << 10;

pub struct Backend {
    pub address: SocketAddr,
    turn: RefCell<Box<dyn FnMut() -> io::Result<bool>>>,
}

impl Backend {
    /// Returns a backend that sends back all received bytes: the bare mio loop.
    pub fn echo() -> io::Result<Self> {
        let listener = servers::socket()?;
        // The connections inherit the option on Linux. The close of a connection sends a reset, so that the connections
        // of the proxy leave no state in the kernel, for the reason that the docs of `load::connect` give. The backend
        // closes after the proxy, so the reset loses no bytes.
        SockRef::from(&listener).set_linger(Some(Duration::ZERO))?;
        let address = listener.local_addr()?;
        let mut server = mio_loop::Loop::new(listener, BUFFER)?;
        Ok(Self::new(address, move || server.turn(Some(Duration::ZERO))))
    }

    /// Returns a backend that receives frames and acknowledges: the bare mio loop of the workload with frames.
    pub fn framed() -> io::Result<Self> {
        let listener = servers::socket()?;
        let address = listener.local_addr()?;
        let mut server = bare::Loop::new(listener, framed::mio_loop::Framed)?;
        Ok(Self::new(address, move || server.turn(Some(Duration::ZERO))))
    }

    fn new(address: SocketAddr, turn: impl FnMut() -> io::Result<bool> + 'static) -> Self {
        Self { address, turn: RefCell::new(Box::new(turn)) }
    }

    /// Handles the events that there are, without waiting. Returns false if there were no events.
    pub fn turn(&self) -> Result<bool, String> {
        let turn = &mut *self.turn.borrow_mut();
        turn().map_err(|error| format!("the backend of the proxy failed: {error}"))
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Backend({})", self.address)
    }
}
