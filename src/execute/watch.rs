//! Waiting for jobs: woken by the file system when an exit file appears and by the kernel when a wrapper dies.
//! Knows nothing of what the jobs are for.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::backend::Handle;
use super::command::{Effect, Product};
use super::job::{self, Probe, Spec};
use super::jobs::make_job;
use super::lost;
use super::review;
use super::shared::{EffectError, Shared, says_no_room};
use super::state::RunState;
use crate::store;
use crate::types::{Ending, JobReport};

/// How often a job is looked at where the file system does not notify.
const FALLBACK_LOOK: Duration = Duration::from_secs(20);
/// How often a job is looked at in vain before the coordinator gives up, and the pause between.
const UNKNOWN_LOOKS: u32 = 30;
const UNKNOWN_PAUSE: Duration = Duration::from_secs(1);
/// How long a started wrapper may take to take up its job.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often a wrapper is started that dies before it takes up its job.
const START_TRIES: u32 = 3;
/// How often a check that died with its wrapper is started again within one effect.
const CHECK_RESTARTS: u32 = 3;

/// Effects that wait for a job.
pub(super) async fn run_job_effect(
    shared: &Arc<Shared>,
    effect: &Effect,
    state: &RunState,
) -> Result<Product, EffectError> {
    let shared_ = shared.clone();
    let (effect_, state_) = (effect.clone(), state.clone());
    let made = tokio::task::spawn_blocking(move || {
        let (spec, title) = make_job(&shared_, &effect_, &state_)?;
        lost::settle_job(&shared_, &shared_.places.job(&spec.job), &spec)?;
        lost::begin_again(&shared_, &state_, &effect_)?;
        Ok::<_, EffectError>((spec, title))
    })
    .await;
    let (spec, title) = made.map_err(|_| EffectError::State("a thread of ours broke down"))??;
    let restarts = if matches!(effect, Effect::Work { .. }) { 0 } else { CHECK_RESTARTS };
    let report = run_job(shared, &spec, title, restarts).await?;
    if matches!(effect, Effect::Review { .. }) {
        let verdict = review::verdict(shared, state, &report);
        return Ok(Product::Reviewed { report, verdict });
    }
    Ok(Product::Job(report))
}

/// Starts the job, or finds it running or ended, and waits for its exit file. Its death without one is known by
/// its lock, which the kernel frees.
async fn run_job(
    shared: &Arc<Shared>,
    spec: &Spec,
    title: String,
    restarts: u32,
) -> Result<JobReport, EffectError> {
    if spec.steps.is_empty() {
        return Ok(JobReport { ending: Ending::Finished, steps: Vec::new() });
    }
    let dir = shared.places.jobs().join(spec.job.as_str());
    let mut deaths = 0;
    loop {
        job::create(&dir, spec)?;
        if job::probe(&dir)? == Probe::NotStarted {
            // Why an earlier wrapper could not go on says nothing about the next.
            store::remove(&dir.join(job::DIED))?;
        }
        let changed = shared.hub.watch_job(&dir);
        let report = wait_for_job(shared, &dir, spec, &title, &changed).await;
        shared.hub.unwatch(&dir);
        if report.as_ref().is_err_and(|e| !says_no_room(e)) {
            // Whoever is no longer waited for must not go on either: its place is given away. Where even that cannot be
            // done the place is not used again.
            let dir = dir.clone();
            let _ = tokio::task::spawn_blocking(move || job::stop(&dir)).await;
        }
        match report? {
            // Ended by a signal that was not ours: the end of a tmux server, say.
            Some(report)
                if report.ending == Ending::Stopped
                    && deaths < restarts
                    && !job::is_cancelled(&dir) => {}
            Some(report) => {
                if report.ending == Ending::Finished && !report.passed() {
                    out_of_room(spec, &dir)?;
                }
                return Ok(report);
            }
            None => {
                let ended = dir.clone();
                let _ = tokio::task::spawn_blocking(move || job::end_orphans(&ended)).await;
                out_of_room(spec, &dir)?;
                if let Some(why) = job::why_it_died(&dir)
                    && lost::put_full_aside(&dir)?
                {
                    // Begun again when that is put right, as if it never had been.
                    return Err(EffectError::Wrapper { job: spec.job.clone(), why });
                }
                if deaths >= restarts {
                    return Ok(JobReport { ending: Ending::Lost, steps: Vec::new() });
                }
            }
        }
        // A check changes nothing that is kept: it is simply run again, its old log beside the new one.
        deaths += 1;
        lost::put_aside(shared, &dir, "lost")?;
    }
}

/// What fails on a full disk says nothing about the work: the run stops. The job is then begun again as if it never had
/// been; a worker in a worktree that is made anew (see lost.rs).
fn out_of_room(spec: &Spec, dir: &Path) -> Result<(), EffectError> {
    let full = |path: &Path| store::free_bytes(path).filter(|free| *free < store::NO_ROOM);
    let places = [spec.cwd.as_path(), dir];
    let Some((place, free)) = places.iter().find_map(|p| Some((*p, full(p)?))) else {
        return Ok(());
    };
    // Where even that cannot be done, the exit file stays, and says what the command said.
    let _ = lost::put_full_aside(dir);
    Err(EffectError::Full { job: spec.job.clone(), dir: place.to_owned(), free })
}

/// The exit file's content, or `None` when the wrapper died without writing one.
async fn wait_for_job(
    shared: &Arc<Shared>,
    dir: &Path,
    spec: &Spec,
    title: &str,
    changed: &Notify,
) -> Result<Option<JobReport>, EffectError> {
    let mut death: Option<tokio::sync::oneshot::Receiver<()>> = None;
    let mut started: Option<Instant> = None;
    let (mut starts, mut unknown) = (0, 0);
    loop {
        let probed = match job::probe(dir) {
            Err(job::JobError::Look { .. }) if unknown < UNKNOWN_LOOKS => {
                // No proof of anything: it is looked at again.
                unknown += 1;
                tokio::time::sleep(UNKNOWN_PAUSE).await;
                continue;
            }
            other => other?,
        };
        unknown = 0;
        match probed {
            Probe::Ended(report) => return Ok(Some(report)),
            Probe::Dead => return Ok(None),
            Probe::Running => {
                if death.is_none() {
                    death = Some(watch_for_death(dir, None));
                }
            }
            Probe::NotStarted if job::is_cancelled(dir) => {
                return Ok(Some(JobReport { ending: Ending::Stopped, steps: Vec::new() }));
            }
            Probe::NotStarted if started.is_some() && job::why_it_died(dir).is_some() => {
                return Ok(None);
            }
            Probe::NotStarted if started.is_none() => {
                started = Some(Instant::now());
                starts += 1;
                let handle =
                    Handle { job: spec.job.clone(), dir: dir.to_owned(), title: title.to_owned() };
                let backend = shared.clone();
                let child =
                    tokio::task::spawn_blocking(move || backend.backend.start(&handle)).await;
                let child =
                    child.map_err(|_| EffectError::State("a thread of ours broke down"))??;
                if child.is_some() {
                    death = Some(watch_for_death(dir, child));
                }
                continue;
            }
            // A wrapper that never took up its job is dead; one that is slow to start is not.
            Probe::NotStarted if started.is_some_and(|at| at.elapsed() > START_LIMIT) => {
                // Should it come after all, it finds that it is not wanted.
                job::cancel(dir)?;
                return Ok(None);
            }
            Probe::NotStarted => {}
        }
        let look = if death.is_none() { Duration::from_millis(500) } else { FALLBACK_LOOK };
        let died = async {
            match &mut death {
                Some(receiver) => receiver.await.is_ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed.notified() => {}
            known = died => {
                if !known {
                    // Nobody watches it: that says nothing about it.
                    death = None;
                    tokio::time::sleep(UNKNOWN_PAUSE).await;
                    continue;
                }
                // Its exit file, if there is one, was written before it died.
                let Ok(probed) = job::probe(dir) else {
                    death = None;
                    continue;
                };
                match probed {
                    Probe::Ended(report) => return Ok(Some(report)),
                    // Cut down before it took the job up: nothing ran, so it is simply started again.
                    Probe::NotStarted if starts < START_TRIES => {
                        death = None;
                        started = None;
                    }
                    Probe::Running => death = None,
                    Probe::Dead | Probe::NotStarted => return Ok(None),
                }
            }
            () = tokio::time::sleep(look) => {}
        }
    }
}

/// Tells when the wrapper is gone: a small thread that waits for the child, or for its lock.
fn watch_for_death(
    dir: &Path,
    child: Option<std::process::Child>,
) -> tokio::sync::oneshot::Receiver<()> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let dir = dir.to_owned();
    let thread = std::thread::Builder::new().name("job".to_owned()).stack_size(64 * 1024);
    let spawned = thread.spawn(move || {
        if let Some(mut child) = child {
            let _ = child.wait();
        }
        if job::wait_for_wrapper(&dir).is_ok() {
            let _ = sender.send(());
        }
    });
    // Without a thread the fallback look finds the end.
    drop(spawned);
    receiver
}
