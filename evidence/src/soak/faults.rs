//! What goes wrong, one thing for each sign-in that something goes wrong in, and what the threat model promises then.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use local_pool::trigger::Trigger;
use parking_lot::Mutex;

use crate::dynamodb;

/// What SES does with one mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MailFault {
    /// Refuses it with this status and this error.
    Says(u16, &'static str),
    /// Does not get it: something before it answers, with this status.
    ProxySays(u16),
    /// Takes it, and answers what is no JSON.
    AnswersGarbage,
    /// Hangs up instead of taking it.
    HangsUpBefore,
    /// Takes it and hangs up.
    HangsUpAfter,
    /// Takes it when nobody waits for the answer any more.
    IsLate,
}

/// What Lambda does with one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallFault {
    /// Kills the function at a random moment, and says so.
    Kills,
    /// Kills the function at a random moment, and Cognito calls again when it has waited long enough.
    KillsSilently,
    /// Loses the answer, and Cognito calls again.
    LosesAnswer,
    /// Has no function free.
    Throttles,
    /// Delivers the event twice at once. The first answer counts.
    DeliversTwice,
    /// Starts a function for it.
    IsCold,
}

/// Where something goes wrong.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// With the first mails of the sign-in.
    Mails(&'static [MailFault]),
    /// With the first event of this trigger.
    Call(Trigger, CallFault),
    /// With the first requests to the table.
    Table(&'static [dynamodb::Fault]),
}

/// Something that goes wrong, and how little of it the person may notice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// It begins with its id in the threat model.
    pub(super) name: &'static str,
    pub(super) what: What,
    /// How often the person has to begin again or to ask for another mail, at most.
    pub(super) actions: u32,
    /// How many codes the person may type in vain, because two mails came.
    pub(super) mismatches: u32,
    /// How many mails there may be more than were asked for.
    pub(super) more_mails: u32,
}

const fn fault(name: &'static str, what: What, actions: u32, mismatches: u32, more_mails: u32) -> Fault {
    Fault { name, what, actions, mismatches, more_mails }
}

const DEFINE: Trigger = Trigger::DefineAuthChallenge;
const CREATE: Trigger = Trigger::CreateAuthChallenge;
const VERIFY: Trigger = Trigger::VerifyAuthChallengeResponse;

/// A request that is answered as it should be.
const FINE: dynamodb::Fault = dynamodb::Fault::Slow(Duration::ZERO);
const TABLE_THROTTLES: dynamodb::Fault = dynamodb::Fault::Error(400, "ThrottlingException");
const TABLE_FAILS: dynamodb::Fault = dynamodb::Fault::Error(500, "InternalServerError");
const TABLE_DENIES: dynamodb::Fault = dynamodb::Fault::Error(400, "AccessDeniedException");
const TABLE_IS_STALE: dynamodb::Fault = dynamodb::Fault::Error(400, "ConditionalCheckFailedException");

/// All that is tried. The first request of a sign-in to the table begins it, and the second and third count the answer.
pub(super) const FAULTS: [Fault; 38] = {
    use CallFault::{DeliversTwice, IsCold, Kills, KillsSilently, LosesAnswer, Throttles};
    use MailFault::{AnswersGarbage, HangsUpAfter, HangsUpBefore, IsLate, ProxySays, Says};
    use What::{Call, Mails, Table};
    [
        fault("F01 SES throttles once", Mails(&[Says(429, "TooManyRequestsException")]), 0, 0, 0),
        fault("F19 create is killed", Call(CREATE, Kills), 1, 0, 1),
        fault("F27 the table's answer to an answer is lost", Table(&[FINE, FINE, dynamodb::Fault::Lost]), 1, 0, 0),
        fault("F21 create's answer is lost", Call(CREATE, LosesAnswer), 0, 0, 1),
        fault("F14 SES hangs up after taking the mail", Mails(&[HangsUpAfter]), 0, 0, 0),
        fault("F27 verify is killed", Call(VERIFY, Kills), 1, 0, 0),
        fault("F54 the table throttles", Table(&[TABLE_THROTTLES]), 0, 0, 0),
        fault("F28 verify's answer is lost", Call(VERIFY, LosesAnswer), 0, 0, 0),
        fault("F17 SES is late", Mails(&[IsLate]), 0, 0, 0),
        fault("F22 create gets its event twice", Call(CREATE, DeliversTwice), 0, 1, 1),
        fault("F54 the table's answer to a beginning is lost", Table(&[dynamodb::Fault::Lost]), 1, 0, 0),
        fault("F14 SES hangs up before taking the mail", Mails(&[HangsUpBefore]), 1, 0, 0),
        fault("F20 create is killed and called again", Call(CREATE, KillsSilently), 1, 0, 1),
        fault("F10 SES fails once", Mails(&[Says(500, "InternalServiceErrorException")]), 0, 0, 0),
        fault("F28 verify gets its event twice", Call(VERIFY, DeliversTwice), 1, 1, 0),
        fault("F54 the table fails three times", Table(&[TABLE_FAILS; 3]), 0, 0, 0),
        fault("F15 SES answers garbage", Mails(&[AnswersGarbage]), 0, 0, 0),
        fault("F24 create is throttled", Call(CREATE, Throttles), 1, 0, 0),
        fault("F27 verify is killed and called again", Call(VERIFY, KillsSilently), 0, 0, 0),
        fault("F04 SES does not send to this address", Mails(&[Says(400, "MessageRejected")]), 1, 0, 0),
        fault("F56 the table denies an answer", Table(&[FINE, FINE, TABLE_DENIES]), 1, 0, 0),
        fault("F29 define is killed", Call(DEFINE, Kills), 1, 0, 0),
        fault("F10 a proxy answers for SES", Mails(&[ProxySays(502)]), 1, 0, 0),
        fault("F23 create is cold", Call(CREATE, IsCold), 0, 0, 0),
        fault("F54 the table is slow", Table(&[dynamodb::Fault::Slow(Duration::from_millis(300)); 3]), 0, 0, 0),
        fault("F01 SES throttles twice", Mails(&[Says(429, "TooManyRequestsException"); 2]), 1, 0, 0),
        fault("F29 define's answer is lost", Call(DEFINE, LosesAnswer), 0, 0, 0),
        fault("F55 the table's old item is missing", Table(&[TABLE_IS_STALE]), 1, 0, 0),
        fault("F02 the day's mails are used up", Mails(&[Says(400, "LimitExceededException")]), 1, 0, 0),
        fault("F24 verify is throttled", Call(VERIFY, Throttles), 1, 0, 0),
        fault("F03 SES has paused sending", Mails(&[Says(400, "SendingPausedException")]), 1, 0, 0),
        fault("F29 define gets its event twice", Call(DEFINE, DeliversTwice), 0, 0, 0),
        fault(
            "F05 the sender's domain is not verified",
            Mails(&[Says(400, "MailFromDomainNotVerifiedException")]),
            1,
            0,
            0,
        ),
        fault("F23 verify is cold", Call(VERIFY, IsCold), 0, 0, 0),
        fault("F16 the credentials have expired", Mails(&[Says(403, "ExpiredTokenException")]), 1, 0, 0),
        fault("F24 define is throttled", Call(DEFINE, Throttles), 1, 0, 0),
        fault("F06 the configuration set is missing", Mails(&[Says(404, "NotFoundException")]), 1, 0, 0),
        fault("F29 define is killed and called again", Call(DEFINE, KillsSilently), 0, 0, 0),
    ]
};

impl Fault {
    /// Whether it can happen only where answers are counted.
    pub(super) fn is_of_table(&self) -> bool {
        matches!(self.what, What::Table(_))
    }

    /// Whether Cognito calls a function again because of it.
    pub(super) fn is_waited_for(&self) -> bool {
        matches!(self.what, What::Call(_, CallFault::KillsSilently | CallFault::LosesAnswer))
    }

    /// Whether functions are slow because of it.
    pub(super) fn takes_long(&self) -> bool {
        match self.what {
            What::Call(..) => self.is_waited_for(),
            What::Mails(faults) => faults.contains(&MailFault::IsLate),
            What::Table(faults) => faults.iter().any(|fault| match fault {
                dynamodb::Fault::Lost | dynamodb::Fault::Ignored => true,
                dynamodb::Fault::Slow(pause) => !pause.is_zero(),
                dynamodb::Fault::Error(..) | dynamodb::Fault::Overtaken => false,
            }),
        }
    }
}

/// What is still to go wrong, by the address of the user.
#[derive(Default)]
pub(super) struct Plans {
    mails: Mutex<HashMap<String, VecDeque<MailFault>>>,
    calls: Mutex<HashMap<String, (Trigger, CallFault)>>,
    /// For whom a function took so long that it gave up something, or that Cognito called it again.
    slow: Mutex<HashSet<String>>,
    /// For whom a call lasted so long that Cognito may have called a function again.
    called_again: Mutex<HashSet<String>>,
}

impl Plans {
    /// Plans a fault; those of the table have to be told to the table.
    pub(super) fn plan(&self, address: &str, what: What) {
        match what {
            What::Mails(faults) => drop(self.mails.lock().insert(address.to_owned(), faults.iter().copied().collect())),
            What::Call(trigger, fault) => drop(self.calls.lock().insert(address.to_owned(), (trigger, fault))),
            What::Table(_) => {}
        }
    }

    /// What goes wrong with a mail that SES gets now.
    pub(super) fn of_mail(&self, address: &str) -> Option<MailFault> {
        let mut plans = self.mails.lock();
        let faults = plans.get_mut(address)?;
        let fault = faults.pop_front();
        if faults.is_empty() {
            plans.remove(address);
        }
        fault
    }

    /// What goes wrong with an event that Lambda gets now.
    pub(super) fn of_call(&self, address: &str, function: &str) -> Option<CallFault> {
        let mut plans = self.calls.lock();
        let (trigger, fault) = *plans.get(address)?;
        if trigger.function() != function {
            return None;
        }
        plans.remove(address);
        Some(fault)
    }

    pub(super) fn is_slow(&self, address: &str) {
        self.slow.lock().insert(address.to_owned());
    }

    pub(super) fn is_called_again(&self, address: &str) {
        self.called_again.lock().insert(address.to_owned());
    }

    /// Whether a function was slow for somebody since this was asked last, and whether Cognito may have called one again.
    pub(super) fn was_slow(&self, address: &str) -> (bool, bool) {
        (self.slow.lock().remove(address), self.called_again.lock().remove(address))
    }

    /// Forgets what has not happened. Whether it had.
    pub(super) fn happened(&self, address: &str) -> bool {
        let [mails, calls] = [self.mails.lock().remove(address).is_some(), self.calls.lock().remove(address).is_some()];
        !mails && !calls
    }
}
