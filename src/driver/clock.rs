//! The clock, and waking up in time.
//!
//! Gives the engines' [`Time`] from the system's monotonic clock. [`Alarm`] wakes a mio loop at a
//! moment: `epoll_wait` rounds to whole milliseconds, in which a sender at 1 Gbit/s would owe 125
//! KB, so on Linux a timer's file descriptor does it.

use std::io;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use crate::time::Time;

/// Tells [`Time`] since its making.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock {
            start: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Time::from_nanos(nanos)
    }
}

/// User and system time of this process so far.
pub(crate) fn cpu_time() -> Duration {
    #[cfg(unix)]
    {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Duration::new(
            t.tv_sec.max(0) as u64,
            t.tv_nsec.clamp(0, 999_999_999) as u32,
        )
    }
    #[cfg(not(unix))]
    {
        Duration::ZERO
    }
}

/// Wakes a mio loop at a moment.
#[derive(Debug)]
pub(crate) struct Alarm {
    #[cfg(target_os = "linux")]
    fd: std::os::fd::OwnedFd,
    set_to: Option<Time>,
}

impl Alarm {
    /// An alarm that is not set, registered under `token`.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Alarm> {
        #[cfg(target_os = "linux")]
        {
            use mio::Interest;
            use mio::unix::SourceFd;
            use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
            use std::os::fd::AsRawFd;

            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Alarm { fd, set_to: None })
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (registry, token);
            Ok(Alarm { set_to: None })
        }
    }

    /// Sets it to `at` (none: never) and gives the timeout to poll with.
    ///
    /// Setting it again before it rang is enough to re-arm it, so it is never read.
    pub(crate) fn set(&mut self, now: Time, at: Option<Time>) -> io::Result<Option<Duration>> {
        let Some(at) = at.filter(|&at| at != Time::NEVER) else {
            return Ok(None);
        };
        let wait = at.since(now);
        if wait.is_zero() {
            return Ok(Some(Duration::ZERO));
        }
        #[cfg(target_os = "linux")]
        {
            use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

            // Whole milliseconds are enough for the far future, and need no system call.
            if wait > Duration::from_millis(50) {
                return Ok(Some(wait));
            }
            // A moment that has passed since it was set has rung already.
            if self.set_to != Some(at) {
                let it_value = Timespec {
                    tv_sec: wait.as_secs() as i64,
                    tv_nsec: wait.subsec_nanos().into(),
                };
                let it_interval = Timespec {
                    tv_sec: 0,
                    tv_nsec: 0,
                };
                let spec = Itimerspec {
                    it_interval,
                    it_value,
                };
                timerfd_settime(&self.fd, TimerfdTimerFlags::empty(), &spec)?;
                self.set_to = Some(at);
            }
            // The timeout is only a net under the alarm.
            Ok(Some(wait + Duration::from_millis(2)))
        }
        #[cfg(not(target_os = "linux"))]
        {
            self.set_to = Some(at);
            Ok(Some(wait))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wakes_within_a_fraction_of_a_millisecond() {
        let mut poll = mio::Poll::new().unwrap();
        let mut events = mio::Events::with_capacity(4);
        let mut alarm = Alarm::new(poll.registry(), Token(7)).unwrap();
        let clock = Clock::new();
        // The best of several: the machine may be busy.
        let mut best = Duration::MAX;
        for _ in 0..20 {
            let at = clock.now() + Duration::from_micros(300);
            let timeout = alarm.set(clock.now(), Some(at)).unwrap();
            poll.poll(&mut events, timeout).unwrap();
            let woken = clock.now();
            assert!(woken >= at, "too early by {:?}", at.since(woken));
            best = best.min(woken.since(at));
        }
        if cfg!(target_os = "linux") {
            assert!(best < Duration::from_micros(500), "{best:?} late");
        }
    }

    #[test]
    fn a_past_moment_does_not_wait() {
        let poll = mio::Poll::new().unwrap();
        let mut alarm = Alarm::new(poll.registry(), Token(0)).unwrap();
        let now = Time::from_millis(5);
        assert_eq!(
            alarm.set(now, Some(Time::from_millis(4))).unwrap(),
            Some(Duration::ZERO)
        );
        assert_eq!(alarm.set(now, None).unwrap(), None);
        assert_eq!(alarm.set(now, Some(Time::NEVER)).unwrap(), None);
    }

    #[test]
    fn processor_time_grows() {
        let before = cpu_time();
        let mut x = 0u64;
        while cfg!(unix) && cpu_time() == before {
            x = x.wrapping_add(1);
        }
        assert!(cfg!(not(unix)) || cpu_time() > before, "{x}");
    }
}
