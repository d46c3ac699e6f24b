//! Tests that the behaviour of the loop does not depend on its driver. A driver is `run` of the loop, turns, the poll of a
//! host, or a poller that watches the descriptor of the loop.

#[path = "../support/mod.rs"]
mod support;

/// The transport that the listeners of the helpers have.
const TRANSPORT: support::Transport = support::Transport::Tcp;

mod behaviours;
mod deadlines;
mod embedding;
mod hosts;
mod subject;
// A host can watch the loop's poll only if the selector of mio has a descriptor.
#[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
mod edges;

/// Makes one test for each behaviour under each driver, over each transport.
macro_rules! under_each {
    ($transport:expr, $behaviour:ident: $($(#[$where:meta])* $name:ident = $driver:path,)*) => {
        mod $behaviour {
            $(
                $(#[$where])*
                #[test]
                fn $name() {
                    crate::behaviours::$behaviour(&$driver.over($transport));
                }
            )*
        }
    };
    ($transport:expr; $($behaviour:ident,)*) => {
        $(
            under_each! { $transport, $behaviour:
                in_its_own_loop = crate::hosts::own::RUN,
                in_turns_with_tiny_shares = crate::hosts::own::TINY_TURNS,
                in_frames = crate::hosts::own::FRAMES,
                as_a_guest = crate::hosts::guest::ALONE,
                as_one_of_two_guests = crate::hosts::guest::ONE_OF_TWO,
            }
        )*
        #[cfg(all(unix, not(mio_unsupported_force_poll_poll)))]
        mod nested {
            $(
                under_each! { $transport, $behaviour:
                    #[cfg(target_os = "linux")]
                    in_epoll = crate::hosts::nested::EPOLL,
                    in_mio = crate::hosts::nested::MIO,
                    in_calloop = crate::hosts::calloop::CALLOOP,
                    in_tokio = crate::hosts::tokio::TOKIO,
                }
            )*
        }
    };
    ($($behaviour:ident,)*) => {
        mod over_tcp {
            under_each! { crate::support::Transport::Tcp; $($behaviour,)* }
        }
        #[cfg(unix)]
        mod over_unix {
            under_each! { crate::support::Transport::Unix; $($behaviour,)* }
        }
    };
}

under_each! {
    echo,
    half_close,
    slow_reader,
    close_in_callback,
    idle_timeout,
    wake,
}

#[cfg(unix)]
mod sources {
    under_each! {
        watched_pipe,
    }
}
