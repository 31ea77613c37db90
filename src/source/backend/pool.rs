//! Runs requests side by side, waits and repeats when the server is busy, and gives up in time.
//!
//! Purpose: back-off with jitter, lower concurrency under load, whole requests repeated, bounded patience.
//! Input: jobs and how to do one. Output: each job settled exactly once, or the first failure.
//! Must not: know what a job is about, or keep part of an answer that failed.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinSet;

use super::trouble::Trouble;
use crate::diag::Diagnostic;

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// However short the waits, nothing is tried more often than this.
const MAX_ATTEMPTS: u32 = 30;
/// So many requests in a row, for each that may be under way, a server may let run into their deadlines. Every job that is
/// halved gets new patience, so a server that only stalls would otherwise be asked about every second of a window.
const FRUITLESS: usize = 6;

/// What becomes of a job.
pub(in crate::source) enum Step<J> {
    Done,
    /// Smaller jobs instead.
    Instead(Vec<J>),
    /// Wait and repeat it; when patience ends, this is said.
    Wait(Diagnostic),
}

/// How many at once, and how long to be patient.
#[derive(Debug, Clone)]
pub(in crate::source) struct Pool {
    width: usize,
    widest: usize,
    patience: Duration,
    /// What a request may take: a request that ran into its deadline has used up that much patience.
    deadline: Duration,
    seed: u64,
    good: u32,
    troubled: bool,
}

struct Task<J> {
    job: J,
    attempts: u32,
    waited: Duration,
    wait: Duration,
}

impl Pool {
    pub(in crate::source) fn new(widest: usize, deadline: Duration) -> Self {
        Self {
            width: widest,
            widest,
            patience: deadline.saturating_mul(2),
            deadline,
            seed: 0x7b,
            good: 0,
            troubled: false,
        }
    }

    /// Whether the server had to be waited for: what it says soon after a restart may not be all it has.
    pub(in crate::source) fn troubled(&self) -> bool {
        self.troubled
    }

    /// Does all jobs. `settle` gets every answer that waiting cannot mend, in no particular order.
    pub(in crate::source) async fn run<J, T, F>(
        &mut self,
        jobs: Vec<J>,
        work: impl Fn(J) -> F,
        mut settle: impl FnMut(J, Result<T, Trouble>) -> Result<Step<J>, Diagnostic>,
    ) -> Result<(), Diagnostic>
    where
        J: Clone + Send + 'static,
        T: Send + 'static,
        F: Future<Output = Result<T, Trouble>> + Send + 'static,
    {
        let fresh = |job| Task { job, attempts: 0, waited: Duration::ZERO, wait: Duration::ZERO };
        // A stack, so that the halves of a window come before new windows.
        let mut open: Vec<Task<J>> = jobs.into_iter().rev().map(fresh).collect();
        let mut running = JoinSet::new();
        let mut fruitless = 0usize;
        loop {
            while running.len() < self.width {
                let Some(task) = open.pop() else { break };
                let future = work(task.job.clone());
                running.spawn(async move {
                    if !task.wait.is_zero() {
                        tokio::time::sleep(task.wait).await;
                    }
                    let answer = future.await;
                    (task, answer)
                });
            }
            let Some(joined) = running.join_next().await else { return Ok(()) };
            let (task, answer) = joined.map_err(|_| {
                Diagnostic::error("internal", "a request to the backend ended in a way that should not happen")
                    .help("please report this")
            })?;
            let (slow, step) = match answer {
                Ok(value) => {
                    fruitless = 0;
                    self.went_well();
                    (false, settle(task.job.clone(), Ok(value))?)
                }
                Err(Trouble::Busy(diagnostic)) => (false, Step::Wait(diagnostic)),
                Err(Trouble::Fatal(diagnostic)) => return Err(diagnostic),
                Err(Trouble::Slow(why)) if fruitless >= FRUITLESS.saturating_mul(self.widest) => {
                    let message = format!("{} ({fruitless} requests in a row, no answer came)", why.message);
                    return Err(Diagnostic { message, ..why });
                }
                Err(trouble) => {
                    let slow = matches!(trouble, Trouble::Slow(_));
                    fruitless = if slow { fruitless.saturating_add(1) } else { 0 };
                    (slow, settle(task.job.clone(), Err(trouble))?)
                }
            };
            match step {
                Step::Done => {}
                Step::Instead(jobs) => open.extend(jobs.into_iter().rev().map(fresh)),
                Step::Wait(diagnostic) => open.push(self.again(task, slow, diagnostic)?),
            }
        }
    }

    fn again<J>(&mut self, task: Task<J>, slow: bool, why: Diagnostic) -> Result<Task<J>, Diagnostic> {
        self.troubled = true;
        self.width = (self.width / 2).max(1);
        self.good = 0;
        let attempts = task.attempts.saturating_add(1);
        let wait = self.wait(attempts);
        let used = if slow { self.deadline } else { Duration::ZERO };
        let waited = task.waited.saturating_add(wait).saturating_add(used);
        if waited > self.patience || attempts > MAX_ATTEMPTS {
            let message = format!("{} ({attempts} attempts)", why.message);
            return Err(Diagnostic { message, ..why });
        }
        Ok(Task { job: task.job, attempts, waited, wait })
    }

    /// Doubling waits, spread by 50 to 100 % so that requests that failed together do not return together.
    fn wait(&mut self, attempts: u32) -> Duration {
        let full = FIRST_WAIT.saturating_mul(1 << (attempts.saturating_sub(1)).min(10)).min(LONGEST_WAIT);
        self.seed = self.seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed ^= mixed >> 31;
        let percent = 50 + u32::try_from(mixed % 51).unwrap_or(0);
        full.saturating_mul(percent) / 100
    }

    fn went_well(&mut self) {
        self.good = self.good.saturating_add(1);
        if self.good >= 4 && self.width < self.widest {
            self.width += 1;
            self.good = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn run<T: Send + 'static>(
        jobs: Vec<u32>,
        answer: impl Fn(u32) -> Result<T, Trouble> + Send + Sync + 'static,
        settle: impl FnMut(u32, Result<T, Trouble>) -> Result<Step<u32>, Diagnostic>,
    ) -> Result<(), Diagnostic> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let answer = std::sync::Arc::new(answer);
        runtime.block_on(Pool::new(3, Duration::from_secs(1)).run(
            jobs,
            |job| {
                let answer = std::sync::Arc::clone(&answer);
                async move { answer(job) }
            },
            settle,
        ))
    }

    fn busy() -> Trouble {
        Trouble::Busy(Diagnostic::error("tempo-overloaded", "busy"))
    }

    #[test]
    fn a_busy_server_is_asked_again_and_every_job_is_settled_once() {
        let failures = Mutex::new(3);
        let mut settled = Vec::new();
        run(
            (0..10).collect(),
            move |job| {
                let mut left = failures.lock().unwrap();
                if job % 3 == 0 && *left > 0 {
                    *left -= 1;
                    return Err(busy());
                }
                Ok(job)
            },
            |job, _| {
                settled.push(job);
                Ok(Step::Done)
            },
        )
        .unwrap();
        settled.sort_unstable();
        assert_eq!(settled, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_server_that_stays_busy_ends_in_its_own_diagnostic() {
        let failed = run(vec![1], |_| Err::<(), _>(busy()), |_, _| Ok(Step::Done)).unwrap_err();
        assert_eq!(failed.code, "tempo-overloaded");
        assert!(failed.message.contains("attempts"));
    }

    #[test]
    fn a_server_that_stalls_on_every_half_is_given_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let deadline = Duration::from_millis(20);
        let mut asked = 0;
        let stall = |_| async move {
            tokio::time::sleep(deadline).await;
            Err::<(), _>(Trouble::Slow(Diagnostic::error("tempo-slow", "slow")))
        };
        let halve = |job: u32, _| {
            asked += 1;
            Ok(Step::Instead(vec![job / 2, job - job / 2]))
        };
        let failed = runtime.block_on(Pool::new(3, deadline).run(vec![1 << 20], stall, halve)).unwrap_err();
        assert_eq!(failed.code, "tempo-slow");
        assert!(failed.message.contains("no answer came"), "{}", failed.message);
        assert!(asked < 30, "{asked}");
    }

    #[test]
    fn a_job_that_is_too_big_is_replaced_by_smaller_ones() {
        let mut sum = 0;
        run(
            vec![8],
            |job| if job > 1 { Err(Trouble::TooMuch(Diagnostic::error("x", "x"))) } else { Ok(job) },
            |job, answer| {
                if answer.is_ok() {
                    sum += job;
                    return Ok(Step::Done);
                }
                Ok(Step::Instead(vec![job / 2, job - job / 2]))
            },
        )
        .unwrap();
        assert_eq!(sum, 8);
    }
}
