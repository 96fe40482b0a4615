//! Lives: each program many times in turn, in an order that is new each round, so that what else the machine does meets all alike.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use rand::seq::SliceRandom as _;

use crate::host::{Life, Usage};
use crate::services::{Calls, Services};
use crate::share::Share;
use crate::subjects::{Events, Subject};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// For an account that has signed in before, the table is written to twice: the first write finds out what is there.
const WRITES_FOR_AN_EVENT: u64 = 2;
/// Events that one more event is told by, when instructions are counted.
const MORE_EVENTS: u64 = 10;
/// How often instructions are counted when something went another way than it should.
const TRIES: u32 = 3;

/// How much is to be measured.
pub(crate) struct Plan {
    /// Lives of each program, and as many with each share.
    pub(crate) lives: usize,
    /// Invocations after the first one, in lives with the whole CPU.
    pub(crate) warm: usize,
    /// Memory in MB, and the share of the CPU that Lambda gives with it.
    pub(crate) shares: Vec<(u64, Share)>,
    /// Whether a process has its share from the start, and not only from its first event.
    pub(crate) is_init_throttled: bool,
}

/// One life with the whole CPU.
pub(crate) struct Lived {
    /// From the start of the process until it asks for an event.
    pub(crate) init: Duration,
    /// From there to the response.
    pub(crate) first_call: Duration,
    pub(crate) warm: Vec<Duration>,
    /// After the first response.
    pub(crate) cold_usage: Usage,
    /// At the end.
    pub(crate) usage: Usage,
}

/// What came of all lives of a program.
#[derive(Default)]
pub(crate) struct Lives {
    pub(crate) whole: Vec<Lived>,
    /// For each share: how long a process took to ask for an event, and then to respond.
    pub(crate) shared: Vec<Vec<(Duration, Duration)>>,
    pub(crate) mails: Calls,
    pub(crate) writes: Calls,
    pub(crate) events: u64,
}

/// How many instructions a program executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Instructions {
    /// From its start until it asks for its second event.
    pub(crate) cold: u64,
    /// For each further one.
    pub(crate) warm: u64,
}

/// Lives all programs.
pub(crate) fn lives(
    plan: &Plan,
    subjects: &[Subject],
    services: &Services,
    events: &mut Events,
    say: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<Vec<Lives>> {
    let empty = || Lives { shared: plan.shares.iter().map(|_| Vec::new()).collect(), ..Lives::default() };
    let mut all: Vec<Lives> = subjects.iter().map(|_| empty()).collect();
    let mut order: Vec<(usize, Option<usize>)> = (0..subjects.len())
        .flat_map(|subject| (0..plan.shares.len()).map(Some).chain([None]).map(move |share| (subject, share)))
        .collect();
    for round in 1..=plan.lives {
        order.shuffle(&mut UnwrapErr(SysRng));
        for &(subject, share) in &order {
            let lives = &mut all[subject];
            let subject = &subjects[subject];
            let lived = live(plan, subject, share, services, events, lives);
            lived.map_err(|error| format!("{}: {error}", subject.name()))?;
        }
        if round % 10 == 0 || round == plan.lives {
            say(&format!("Round {round} of {}.", plan.lives))?;
        }
    }
    Ok(all)
}

/// One life.
fn live(
    plan: &Plan,
    subject: &Subject,
    share: Option<usize>,
    services: &Services,
    events: &mut Events,
    lives: &mut Lives,
) -> Result<()> {
    let definition = subject.definition;
    let (event, variables) = (events.of(definition)?, definition.variables(services));
    let mails_before = services.ses.calls();
    let writes_before = services.table.calls();
    let mut invoked = 0;
    let mut invoke = |life: &mut Life| {
        let (took, response) = life.invoke(&event)?;
        invoked += 1;
        definition.judge(&event, &response)?;
        Ok::<_, Box<dyn Error>>(took)
    };
    match share.map(|share| (share, &plan.shares[share].1)) {
        None => {
            let (mut life, init) = Life::begin(&subject.program, &variables)?;
            let first_call = invoke(&mut life)?;
            let cold_usage = life.usage()?;
            let warm: Result<Vec<Duration>> = (0..plan.warm).map(|_| invoke(&mut life)).collect();
            lives.whole.push(Lived { init, first_call, warm: warm?, cold_usage, usage: life.usage()? });
        }
        Some((index, share)) => {
            let (mut life, init) = if plan.is_init_throttled {
                Life::begin_with_share(&subject.program, &variables, share)?
            } else {
                let (life, init) = Life::begin(&subject.program, &variables)?;
                share.take_in(life.process_id())?;
                (life, init)
            };
            let first_call = invoke(&mut life)?;
            lives.shared[index].push((init, first_call));
        }
    }
    let (mails, writes) = (services.ses.calls().since(mails_before), services.table.calls().since(writes_before));
    expect(subject, invoked, mails, writes)?;
    lives.events += invoked;
    lives.mails = lives.mails.and(mails);
    lives.writes = lives.writes.and(writes);
    Ok(())
}

/// What was measured has to be what happens in a sign-in.
fn expect(subject: &Subject, events: u64, mails: Calls, writes: Calls) -> Result<()> {
    let definition = subject.definition;
    let expected_mails = if definition.mails { events } else { 0 };
    let expected_writes = if definition.has_table { events * WRITES_FOR_AN_EVENT } else { 0 };
    if (mails.requests, writes.requests) == (expected_mails, expected_writes) {
        return Ok(());
    }
    Err(format!(
        "for {events} events there are {} mails and {} writes to the table, not {expected_mails} and {expected_writes}",
        mails.requests, writes.requests
    )
    .into())
}

/// Counts a program's instructions.
pub(crate) fn instructions(
    subject: &Subject,
    services: &Services,
    events: &mut Events,
    slow_clock: &Path,
) -> Result<Instructions> {
    let mut counted = |of_events| {
        let mut tried = count(subject, services, events, slow_clock, of_events);
        // A program with the C library in it goes by the usual clock, and a busy machine can be too slow for its patience.
        for _ in 1..TRIES {
            if tried.is_err() {
                tried = count(subject, services, events, slow_clock, of_events);
            }
        }
        tried.map_err(|error| format!("{} in valgrind: {error}", subject.name()))
    };
    let cold = counted(1)?;
    let more = counted(1 + MORE_EVENTS)?;
    Ok(Instructions { cold, warm: more.saturating_sub(cold) / MORE_EVENTS })
}

fn count(
    subject: &Subject,
    services: &Services,
    events: &mut Events,
    slow_clock: &Path,
    of_events: u64,
) -> Result<u64> {
    let definition = subject.definition;
    let (event, variables) = (events.of(definition)?, definition.variables(services));
    let (mails_before, writes_before) = (services.ses.calls(), services.table.calls());
    let mut life = Life::begin_counted(&subject.program, &variables, slow_clock)?;
    for _ in 0..of_events {
        let (_, response) = life.invoke(&event)?;
        definition.judge(&event, &response)?;
    }
    let count = life.count()?;
    let (mails, writes) = (services.ses.calls().since(mails_before), services.table.calls().since(writes_before));
    expect(subject, of_events, mails, writes)?;
    let (connections, services_called) =
        (mails.connections + writes.connections, u64::from(definition.mails) + u64::from(definition.has_table));
    if connections != services_called {
        return Err(format!("{connections} connections to {services_called} services").into());
    }
    Ok(count)
}
