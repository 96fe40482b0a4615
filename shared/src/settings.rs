//! The environment variables of the functions, each once: name, unit, default, bounds.
//!
//! Settings are read once, at cold start, through a function that looks a variable up, so that they can be tested without
//! an environment. Anything wrong is an error that names the variable and what it has to be, never what it was.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

use crate::code::{self, Alphabet, CodeFormat, CodeKey, CodeKeys};
use crate::email_address::{EmailAddress, Sender, is_domain, is_plain_line};
use crate::limits::Limits;
use crate::recipient::LanguageTag;
use crate::risk::risk;

/// Looks an environment variable up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Secret that codes are derived with. 32 to 256 printable ASCII characters without spaces. Required.
pub const CODE_KEY: &str = "CODE_KEY";
/// The key before this one: its challenges can still be answered. Like `CODE_KEY`; empty or unset: none.
pub const CODE_KEY_PREVIOUS: &str = "CODE_KEY_PREVIOUS";
/// Symbols of a code: `digits` or `letters` (20 unambiguous consonants). Default `digits` if there is a [`LIMITS_TABLE`], else
/// `letters`.
pub const CODE_ALPHABET: &str = "CODE_ALPHABET";
/// Symbols per code, 6 to 16. Default 8 for digits and 10 for letters.
pub const CODE_LENGTH: &str = "CODE_LENGTH";
/// Life of a code in seconds, 60 to 600 (NIST SP 800-63B-4 §3.1.3.2 allows ten minutes). Default 600.
pub const CODE_VALIDITY_SECONDS: &str = "CODE_VALIDITY_SECONDS";
/// Answers per sign-in, 1 to 5. Default 3.
pub const MAX_ATTEMPTS: &str = "MAX_ATTEMPTS";
/// Mails per sign-in, 1 to 5. Default 3.
pub const MAX_MAILS: &str = "MAX_MAILS";
/// Seconds between two mails of a sign-in, 10 to 300. Default 30.
pub const RESEND_AFTER_SECONDS: &str = "RESEND_AFTER_SECONDS";
/// `true`: the first round asks for client metadata only, and the code is mailed in the second. Default `false`.
pub const PARAMETER_ROUND: &str = "PARAMETER_ROUND";
/// `true`: a code is only asked for after a right password (SRP). Default `false`. Users who would have to change their
/// password are refused. Switch the pool's own MFA off: where it is on, Cognito is reported to issue tokens after it without
/// asking for the code.
pub const PASSWORD_FIRST: &str = "PASSWORD_FIRST";
/// `masked`: tell the client `a***@e***`, which lets anybody guess whether a user exists. `none` by default.
pub const SHOW_DESTINATION: &str = "SHOW_DESTINATION";
/// `true`: no sign-in may begin. Default `false`.
pub const MAINTENANCE: &str = "MAINTENANCE";
/// App client ids that may sign in, with commas between. Empty or unset: every client of the pool.
pub const ALLOWED_CLIENT_IDS: &str = "ALLOWED_CLIENT_IDS";
/// Domains whose addresses may sign in, with commas between; `*.example.com` stands for all below it. Empty or unset: all.
pub const ALLOWED_EMAIL_DOMAINS: &str = "ALLOWED_EMAIL_DOMAINS";
/// Domains whose addresses may not sign in, written like the allowed ones. Empty or unset: none.
pub const BLOCKED_EMAIL_DOMAINS: &str = "BLOCKED_EMAIL_DOMAINS";
/// Client metadata that a sign-in has to bring, with commas between: `key`, or `key=attribute` if the value has to equal
/// a user attribute (`tenant=custom:tenant`). Empty or unset: none.
pub const REQUIRED_CLIENT_METADATA: &str = "REQUIRED_CLIENT_METADATA";
/// `true`: whoever signs up needs no code of Cognito's own to confirm the account. The address is not verified thereby. Default
/// `false`.
pub const AUTO_CONFIRM: &str = "AUTO_CONFIRM";
/// `true`: confirmed users get codes also at an address that is not verified, and a right one verifies it. Needs a [`LIMITS_TABLE`],
/// which keeps the proof. Default `false`: then no code goes to such an address. Whoever signed up with somebody else's address may
/// have set a password before its owner came: no app client of the pool may take passwords.
pub const VERIFY_BY_CODE: &str = "VERIFY_BY_CODE";
/// `true`: no tokens for what certainly came round the challenge: a new password, a hosted page, an app client that is not among
/// [`ALLOWED_CLIENT_IDS`]. Default `false`.
pub const ONLY_BY_CODE: &str = "ONLY_BY_CODE";
/// `true`: tokens say how and when somebody has signed in (`signed_in_by`, `signed_in_at`), which is as true as the app client's flows
/// are strict: a password at a client that allows both looks like a code. Default `false`.
pub const SIGN_IN_CLAIMS: &str = "SIGN_IN_CLAIMS";
/// Sender of the mails: an address that SES may send from, or a name and an address: `Acme <sign-in@example.com>`. Required.
pub const SES_FROM_ADDRESS: &str = "SES_FROM_ADDRESS";
/// Where answers to the mails go. Empty or unset: to the sender.
pub const SES_REPLY_TO_ADDRESS: &str = "SES_REPLY_TO_ADDRESS";
/// SES configuration set that the mails are sent with. Empty or unset: the identity's own, if any.
pub const SES_CONFIGURATION_SET: &str = "SES_CONFIGURATION_SET";
/// ARN of the SES identity, where another account lets this one send from it. Empty or unset: the sender's own identity.
pub const SES_IDENTITY_ARN: &str = "SES_IDENTITY_ARN";
/// Region whose SES sends the mails. Empty or unset: the function's own.
pub const SES_REGION: &str = "SES_REGION";
/// What the mails call the thing that people sign in to, 1 to 64 characters. Empty or unset: the sender's name, or else the
/// domain of its address.
pub const APP_NAME: &str = "APP_NAME";
/// Domain on which browsers may fill in a code that they find in a mail: it ends with a line `@example.com #48310937` then.
/// Empty or unset: no such line.
pub const APP_DOMAIN: &str = "APP_DOMAIN";
/// Language of the mails (BCP 47) where neither the client nor the user names one that there are templates for. Default `en`.
pub const DEFAULT_LOCALE: &str = "DEFAULT_LOCALE";
/// Folder with templates of your own, which are used instead of the built-in ones. Empty or unset: the built-in ones.
pub const TEMPLATE_DIR: &str = "TEMPLATE_DIR";
/// `true`: the subject holds the code, which locked screens show then. Default `false`.
pub const CODE_IN_SUBJECT: &str = "CODE_IN_SUBJECT";
/// User attribute by which mails greet (`given_name`). Empty or unset: mails greet nobody.
pub const GREETING_ATTRIBUTE: &str = "GREETING_ATTRIBUTE";

/// DynamoDB table in which mails and wrong answers are counted for each account. Empty or unset: nothing is counted across
/// sign-ins.
pub const LIMITS_TABLE: &str = "LIMITS_TABLE";
/// Mails that an account may have at once, 1 to 10. Default 3.
pub const MAIL_BURST: &str = "MAIL_BURST";
/// Seconds after which an account may have one more mail, 10 to 3600. Default 60.
pub const MAIL_INTERVAL_SECONDS: &str = "MAIL_INTERVAL_SECONDS";
/// Mails that an account may have in 24 hours, 1 to 200. Default 20.
pub const MAILS_PER_DAY: &str = "MAILS_PER_DAY";
/// Wrong answers in a row from which on the next sign-in has to wait, 3 to 50. Default 10.
pub const SLOW_DOWN_AFTER_FAILURES: &str = "SLOW_DOWN_AFTER_FAILURES";
/// Wrong answers in a row after which none is judged for a day, 10 to 100 (NIST SP 800-63B-4 §3.2.2). Default 100.
pub const LATCH_AFTER_FAILURES: &str = "LATCH_AFTER_FAILURES";

/// The greatest chance that a year of attack on one account may succeed with, above 0 and up to 1. With settings that allow more
/// the functions do not start. Default 0.001.
pub const ACCEPT_RISK: &str = "ACCEPT_RISK";
/// Least level of the lines that are written: `TRACE`, `DEBUG`, `INFO`, `WARN` or `ERROR`, small or capital. What is counted is
/// written at every level. Default `AWS_LAMBDA_LOG_LEVEL`, and without that `INFO`.
pub const POWERTOOLS_LOG_LEVEL: &str = "POWERTOOLS_LOG_LEVEL";
/// What lines of the log and metrics are told apart by, 1 to 128 characters: the stack's name, in the template. Default
/// `custom-sign-in`.
pub const POWERTOOLS_SERVICE_NAME: &str = "POWERTOOLS_SERVICE_NAME";
/// Namespace of the metrics in CloudWatch, 1 to 255 characters. Default `CustomSignIn`.
pub const POWERTOOLS_METRICS_NAMESPACE: &str = "POWERTOOLS_METRICS_NAMESPACE";
/// `true`: no metrics. Default `false`.
pub const POWERTOOLS_METRICS_DISABLED: &str = "POWERTOOLS_METRICS_DISABLED";

/// All of the above.
pub const VARIABLES: [&str; 42] = [
    CODE_KEY,
    CODE_KEY_PREVIOUS,
    CODE_ALPHABET,
    CODE_LENGTH,
    CODE_VALIDITY_SECONDS,
    MAX_ATTEMPTS,
    MAX_MAILS,
    RESEND_AFTER_SECONDS,
    PARAMETER_ROUND,
    PASSWORD_FIRST,
    SHOW_DESTINATION,
    MAINTENANCE,
    ALLOWED_CLIENT_IDS,
    ALLOWED_EMAIL_DOMAINS,
    BLOCKED_EMAIL_DOMAINS,
    REQUIRED_CLIENT_METADATA,
    AUTO_CONFIRM,
    VERIFY_BY_CODE,
    ONLY_BY_CODE,
    SIGN_IN_CLAIMS,
    SES_FROM_ADDRESS,
    SES_REPLY_TO_ADDRESS,
    SES_CONFIGURATION_SET,
    SES_IDENTITY_ARN,
    SES_REGION,
    APP_NAME,
    APP_DOMAIN,
    DEFAULT_LOCALE,
    TEMPLATE_DIR,
    CODE_IN_SUBJECT,
    GREETING_ATTRIBUTE,
    LIMITS_TABLE,
    MAIL_BURST,
    MAIL_INTERVAL_SECONDS,
    MAILS_PER_DAY,
    SLOW_DOWN_AFTER_FAILURES,
    LATCH_AFTER_FAILURES,
    ACCEPT_RISK,
    POWERTOOLS_LOG_LEVEL,
    POWERTOOLS_SERVICE_NAME,
    POWERTOOLS_METRICS_NAMESPACE,
    POWERTOOLS_METRICS_DISABLED,
];

/// The key that the fixtures in `events/` are made with. Everybody knows it, so it is refused unless `AWS_SAM_LOCAL` is
/// `true`, as `sam local` sets it.
pub const EXAMPLE_CODE_KEY: &str = "example-key-of-the-event-fixtures-never-deploy-it";

/// A setting that cannot be used. Says which and what it has to be, never what it was.
#[derive(Clone, PartialEq, Eq)]
pub struct SettingsError {
    variable: &'static str,
    expected: String,
}

impl SettingsError {
    /// `expected` goes on from "must be".
    pub fn new(variable: &'static str, expected: impl Into<String>) -> SettingsError {
        SettingsError { variable, expected: expected.into() }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.variable, self.expected)
    }
}

/// The same text as `Display`, because `main` prints the error that it returns in this form.
impl fmt::Debug for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for SettingsError {}

/// What the code looks like, and how long and how often it can be answered.
#[derive(Clone, Debug)]
pub struct ChallengeSettings {
    /// [`CODE_KEY`] and [`CODE_KEY_PREVIOUS`].
    pub keys: CodeKeys,
    /// [`CODE_ALPHABET`] and [`CODE_LENGTH`].
    pub format: CodeFormat,
    /// [`CODE_VALIDITY_SECONDS`].
    pub validity: Duration,
    /// [`MAX_ATTEMPTS`].
    pub max_attempts: u8,
}

impl ChallengeSettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<ChallengeSettings, SettingsError> {
        let (digits, letters) = (("digits", Alphabet::Digits), ("letters", Alphabet::Letters));
        let is_counted = vars(LIMITS_TABLE).is_some_and(|table| !table.is_empty());
        let alphabet = one_of(vars, CODE_ALPHABET, &if is_counted { [digits, letters] } else { [letters, digits] })?;
        let default_length = match alphabet {
            Alphabet::Digits => 8,
            Alphabet::Letters => 10,
        };
        let length = number(vars, CODE_LENGTH, default_length, code::MIN_LENGTH, code::MAX_LENGTH)?;
        Ok(ChallengeSettings {
            keys: code_keys(vars)?,
            format: CodeFormat::new(alphabet, length)
                .ok_or_else(|| SettingsError::new(CODE_LENGTH, "a length that codes can have"))?,
            validity: Duration::from_secs(number(vars, CODE_VALIDITY_SECONDS, 600, 60, 600)?),
            max_attempts: number(vars, MAX_ATTEMPTS, 3, 1, 5)?,
        })
    }
}

/// Who may begin a sign-in, as far as the request alone tells.
#[derive(Clone, Debug, Default)]
pub struct AdmissionSettings {
    /// [`MAINTENANCE`].
    pub maintenance: bool,
    /// [`ALLOWED_CLIENT_IDS`]; empty: every client.
    pub allowed_client_ids: BTreeSet<String>,
}

impl AdmissionSettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<AdmissionSettings, SettingsError> {
        let is_client_id = |id: &str| {
            (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+".contains(&b))
        };
        Ok(AdmissionSettings {
            maintenance: flag(vars, MAINTENANCE)?,
            allowed_client_ids: list(vars, ALLOWED_CLIENT_IDS, "app client ids with commas between", |id| {
                is_client_id(id).then(|| id.to_owned())
            })?
            .into_iter()
            .collect(),
        })
    }

    /// Whether this app client's users may sign in.
    pub fn allow(&self, client_id: &str) -> bool {
        self.allowed_client_ids.is_empty() || self.allowed_client_ids.contains(client_id)
    }
}

/// Whose addresses are admitted, by domain.
#[derive(Clone, Debug, Default)]
pub struct EmailDomains {
    /// [`ALLOWED_EMAIL_DOMAINS`]; empty: all.
    allowed: Vec<DomainPattern>,
    /// [`BLOCKED_EMAIL_DOMAINS`].
    blocked: Vec<DomainPattern>,
}

impl EmailDomains {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<EmailDomains, SettingsError> {
        let patterns = |variable| {
            list(
                vars,
                variable,
                "domains such as example.com or *.example.com with commas between",
                DomainPattern::parse,
            )
        };
        Ok(EmailDomains { allowed: patterns(ALLOWED_EMAIL_DOMAINS)?, blocked: patterns(BLOCKED_EMAIL_DOMAINS)? })
    }

    /// Whether addresses of `domain` are admitted. What is both allowed and blocked is blocked.
    pub fn admit(&self, domain: &str) -> bool {
        // A dot at the end names the same domain (RFC 1034 §3.1).
        let domain = domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase();
        let matches = |pattern: &DomainPattern| pattern.matches(&domain);
        (self.allowed.is_empty() || self.allowed.iter().any(matches)) && !self.blocked.iter().any(matches)
    }
}

/// Whom a code may be mailed to.
#[derive(Clone, Debug, Default)]
pub struct RecipientSettings {
    /// Rules about the address.
    pub domains: EmailDomains,
    /// [`VERIFY_BY_CODE`].
    pub verify_by_code: bool,
}

impl RecipientSettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<RecipientSettings, SettingsError> {
        Ok(RecipientSettings { domains: EmailDomains::from_vars(vars)?, verify_by_code: flag(vars, VERIFY_BY_CODE)? })
    }
}

#[derive(Clone, Debug)]
enum DomainPattern {
    Exactly(String),
    /// With a dot in front.
    Below(String),
}

impl DomainPattern {
    fn parse(text: &str) -> Option<DomainPattern> {
        let text = text.to_ascii_lowercase();
        match text.strip_prefix('*') {
            None => is_domain(&text).then_some(DomainPattern::Exactly(text)),
            Some(below) => {
                below.strip_prefix('.').is_some_and(is_domain).then(|| DomainPattern::Below(below.to_owned()))
            }
        }
    }

    fn matches(&self, domain: &str) -> bool {
        match self {
            DomainPattern::Exactly(exactly) => domain == exactly,
            DomainPattern::Below(below) => domain.ends_with(below.as_str()),
        }
    }
}

/// A piece of client metadata that a sign-in has to bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredMetadata {
    /// The key that has to be there, with a value.
    pub key: String,
    /// The user attribute that the value has to equal, if any.
    pub equals_attribute: Option<String>,
}

/// Settings of pre-authentication.
#[derive(Clone, Debug, Default)]
pub struct PreAuthenticationSettings {
    /// Rules about the request alone.
    pub admission: AdmissionSettings,
    /// Rules about the address.
    pub domains: EmailDomains,
    /// [`REQUIRED_CLIENT_METADATA`].
    pub required_client_metadata: Vec<RequiredMetadata>,
}

impl PreAuthenticationSettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<PreAuthenticationSettings, SettingsError> {
        let required = |text: &str| {
            let (key, attribute) = match text.split_once('=') {
                None => (text, None),
                Some((key, attribute)) => (key.trim(), Some(attribute.trim())),
            };
            (!key.is_empty() && attribute != Some(""))
                .then(|| RequiredMetadata { key: key.to_owned(), equals_attribute: attribute.map(ToOwned::to_owned) })
        };
        Ok(PreAuthenticationSettings {
            admission: AdmissionSettings::from_vars(vars)?,
            domains: EmailDomains::from_vars(vars)?,
            required_client_metadata: list(
                vars,
                REQUIRED_CLIENT_METADATA,
                "keys, or keys and attributes such as tenant=custom:tenant, with commas between",
                required,
            )?,
        })
    }
}

/// Settings of pre-sign-up.
#[derive(Clone, Debug, Default)]
pub struct PreSignUpSettings {
    /// Rules about the request alone.
    pub admission: AdmissionSettings,
    /// Rules about the address.
    pub domains: EmailDomains,
    /// [`AUTO_CONFIRM`].
    pub auto_confirm: bool,
}

impl PreSignUpSettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<PreSignUpSettings, SettingsError> {
        Ok(PreSignUpSettings {
            admission: AdmissionSettings::from_vars(vars)?,
            domains: EmailDomains::from_vars(vars)?,
            auto_confirm: flag(vars, AUTO_CONFIRM)?,
        })
    }
}

/// Settings of pre-token-generation.
#[derive(Clone, Debug, Default)]
pub struct PreTokenGenerationSettings {
    /// Rules about the request alone, of which [`ALLOWED_CLIENT_IDS`] counts here.
    pub admission: AdmissionSettings,
    /// Whom a code may be mailed to.
    pub recipients: RecipientSettings,
    /// [`PASSWORD_FIRST`].
    pub password_first: bool,
    /// [`ONLY_BY_CODE`].
    pub only_by_code: bool,
    /// [`SIGN_IN_CLAIMS`].
    pub sign_in_claims: bool,
}

impl PreTokenGenerationSettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<PreTokenGenerationSettings, SettingsError> {
        Ok(PreTokenGenerationSettings {
            admission: AdmissionSettings::from_vars(vars)?,
            recipients: RecipientSettings::from_vars(vars)?,
            password_first: flag(vars, PASSWORD_FIRST)?,
            only_by_code: flag(vars, ONLY_BY_CODE)?,
            sign_in_claims: flag(vars, SIGN_IN_CLAIMS)?,
        })
    }
}

/// Settings of post-authentication.
#[derive(Clone, Debug)]
pub struct PostAuthenticationSettings {
    /// Whom a code may be mailed to.
    pub recipients: RecipientSettings,
    /// [`CODE_KEY`] and [`CODE_KEY_PREVIOUS`], with which accounts are named.
    pub keys: CodeKeys,
    /// [`LIMITS_TABLE`], where proofs are.
    pub table: Option<String>,
}

impl PostAuthenticationSettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<PostAuthenticationSettings, SettingsError> {
        Ok(PostAuthenticationSettings {
            recipients: RecipientSettings::from_vars(vars)?,
            keys: code_keys(vars)?,
            table: limits_table(vars)?,
        })
    }
}

/// Settings of define-auth-challenge.
#[derive(Clone, Debug)]
pub struct DefineSettings {
    /// What the code looks like, and how long and how often it can be answered.
    pub challenge: ChallengeSettings,
    /// Rules about the request alone.
    pub admission: AdmissionSettings,
    /// Whom a code may be mailed to.
    pub recipients: RecipientSettings,
    /// [`PASSWORD_FIRST`].
    pub password_first: bool,
}

impl DefineSettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<DefineSettings, SettingsError> {
        Ok(DefineSettings {
            challenge: ChallengeSettings::from_vars(vars)?,
            admission: AdmissionSettings::from_vars(vars)?,
            recipients: RecipientSettings::from_vars(vars)?,
            password_first: flag(vars, PASSWORD_FIRST)?,
        })
    }
}

/// Settings of verify-auth-challenge.
#[derive(Clone, Debug)]
pub struct VerifySettings {
    /// What the code looks like, and how long and how often it can be answered.
    pub challenge: ChallengeSettings,
    /// Whom a code may be mailed to.
    pub recipients: RecipientSettings,
}

impl VerifySettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<VerifySettings, SettingsError> {
        Ok(VerifySettings {
            challenge: ChallengeSettings::from_vars(vars)?,
            recipients: RecipientSettings::from_vars(vars)?,
        })
    }
}

/// Settings of create-auth-challenge's decision.
#[derive(Clone, Debug)]
pub struct CreateSettings {
    /// What the code looks like, and how long and how often it can be answered.
    pub challenge: ChallengeSettings,
    /// Whom a code may be mailed to.
    pub recipients: RecipientSettings,
    /// [`MAX_MAILS`].
    pub max_mails: u8,
    /// [`RESEND_AFTER_SECONDS`].
    pub resend_after: Duration,
    /// [`PARAMETER_ROUND`].
    pub parameter_round: bool,
    /// [`SHOW_DESTINATION`].
    pub show_destination: ShowDestination,
    /// [`GREETING_ATTRIBUTE`].
    pub greeting_attribute: Option<String>,
}

/// Whether the client is told where the mail went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShowDestination {
    /// It is not.
    Nowhere,
    /// It gets `a***@e***`.
    Masked,
}

impl CreateSettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<CreateSettings, SettingsError> {
        Ok(CreateSettings {
            challenge: ChallengeSettings::from_vars(vars)?,
            recipients: RecipientSettings::from_vars(vars)?,
            max_mails: number(vars, MAX_MAILS, 3, 1, 5)?,
            resend_after: Duration::from_secs(number(vars, RESEND_AFTER_SECONDS, 30, 10, 300)?),
            parameter_round: flag(vars, PARAMETER_ROUND)?,
            show_destination: one_of(
                vars,
                SHOW_DESTINATION,
                &[("none", ShowDestination::Nowhere), ("masked", ShowDestination::Masked)],
            )?,
            // Cognito's names of attributes have up to 32 characters, and their prefixes up to 11 (`dev:custom:`).
            greeting_attribute: optional(vars, GREETING_ATTRIBUTE, "the name of a user attribute", |name| {
                let fits = name.len() <= 43 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b));
                fits.then(|| name.to_owned())
            })?,
        })
    }
}

/// What the mails say.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// [`APP_NAME`].
    pub app_name: String,
    /// [`APP_DOMAIN`].
    pub app_domain: Option<String>,
    /// [`DEFAULT_LOCALE`].
    pub default_locale: LanguageTag,
    /// [`TEMPLATE_DIR`].
    pub template_dir: Option<PathBuf>,
    /// [`CODE_IN_SUBJECT`].
    pub code_in_subject: bool,
}

impl MailSettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<MailSettings, SettingsError> {
        let Sender { name, address } = sender(vars)?;
        let app_name = optional(vars, APP_NAME, "1 to 64 characters without line breaks", |name| {
            let name = name.trim();
            ((1..=64).contains(&name.chars().count()) && is_plain_line(name)).then(|| name.to_owned())
        })?;
        let default_locale = optional(vars, DEFAULT_LOCALE, "a language tag such as en or pt-BR", LanguageTag::parse)?;
        Ok(MailSettings {
            app_name: app_name.or(name).unwrap_or_else(|| address.domain().to_owned()),
            app_domain: optional(vars, APP_DOMAIN, "a domain such as example.com", |domain| {
                is_domain(domain).then(|| domain.to_ascii_lowercase())
            })?,
            default_locale: default_locale.unwrap_or_else(LanguageTag::english),
            template_dir: optional(vars, TEMPLATE_DIR, "a folder", |folder| Some(PathBuf::from(folder)))?,
            code_in_subject: flag(vars, CODE_IN_SUBJECT)?,
        })
    }
}

/// How SES sends the mails.
#[derive(Clone, Debug)]
pub struct SesSettings {
    /// [`SES_FROM_ADDRESS`].
    pub from: Sender,
    /// [`SES_REPLY_TO_ADDRESS`].
    pub reply_to: Option<EmailAddress>,
    /// [`SES_CONFIGURATION_SET`].
    pub configuration_set: Option<String>,
    /// [`SES_IDENTITY_ARN`].
    pub identity_arn: Option<String>,
    /// [`SES_REGION`].
    pub region: Option<String>,
}

impl SesSettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<SesSettings, SettingsError> {
        let text = |variable, expected, fits: &dyn Fn(&str) -> bool| {
            optional(vars, variable, expected, |text| fits(text).then(|| text.to_owned()))
        };
        let given = |variable| vars(variable).filter(|text| !text.is_empty());
        Ok(SesSettings {
            from: sender(vars)?,
            reply_to: optional(vars, SES_REPLY_TO_ADDRESS, "an e-mail address", EmailAddress::parse)?,
            configuration_set: text(
                SES_CONFIGURATION_SET,
                "the name of a configuration set: 1 to 64 letters, digits, hyphens and underscores",
                &|name| name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)),
            )?,
            identity_arn: text(
                SES_IDENTITY_ARN,
                "the ARN of an SES identity in the region that sends: arn:aws:ses:<region>:<account>:identity/<domain or address>",
                &|arn| {
                    let is_identity = |resource: &str| {
                        let identity = resource.strip_prefix("identity/").unwrap_or_default();
                        is_domain(identity) || EmailAddress::parse(identity).is_some()
                    };
                    let is_account = |account: &str| account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
                    let fields: Vec<&str> = arn.splitn(6, ':').collect();
                    let ["arn", partition, "ses", region, account, resource] = fields[..] else { return false };
                    // SES answers for its own region only.
                    let sends_from = given(SES_REGION).or_else(|| given("AWS_REGION"));
                    partition.starts_with("aws")
                        && partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
                        && is_region(region)
                        && sends_from.is_none_or(|sends_from| sends_from == region)
                        && is_account(account)
                        && is_identity(resource)
                },
            )?,
            region: text(SES_REGION, "a region such as eu-west-1", &is_region)?,
        })
    }
}

fn is_region(text: &str) -> bool {
    text.contains('-')
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn sender(vars: Lookup<'_>) -> Result<Sender, SettingsError> {
    let expected = "an e-mail address that SES may send from, or a name and one: Acme <sign-in@example.com>";
    vars(SES_FROM_ADDRESS)
        .and_then(|text| Sender::parse(&text))
        .ok_or_else(|| SettingsError::new(SES_FROM_ADDRESS, expected))
}

/// What is counted across sign-ins, and where.
#[derive(Clone, Debug)]
pub struct LimitsSettings {
    /// [`LIMITS_TABLE`].
    pub table: Option<String>,
    /// [`MAIL_BURST`], [`MAIL_INTERVAL_SECONDS`], [`MAILS_PER_DAY`], [`SLOW_DOWN_AFTER_FAILURES`] and
    /// [`LATCH_AFTER_FAILURES`], with what holds for a challenge.
    pub limits: Limits,
}

impl LimitsSettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<LimitsSettings, SettingsError> {
        let ChallengeSettings { format, max_attempts, validity, .. } = ChallengeSettings::from_vars(vars)?;
        let settings = LimitsSettings {
            table: limits_table(vars)?,
            limits: Limits {
                mail_burst: number(vars, MAIL_BURST, 3, 1, 10)?,
                mail_interval: Duration::from_secs(number(vars, MAIL_INTERVAL_SECONDS, 60, 10, 3_600)?),
                mails_per_day: number(vars, MAILS_PER_DAY, 20, 1, 200)?,
                slow_down_after: number(vars, SLOW_DOWN_AFTER_FAILURES, 10, 3, 50)?,
                latch_after: number(vars, LATCH_AFTER_FAILURES, 100, 10, 100)?,
                max_attempts,
                validity,
            },
        };
        let risk = risk(format, &settings.limits, settings.table.is_some());
        let accepted = optional(vars, ACCEPT_RISK, "a number above 0 and up to 1", |text| {
            text.parse().ok().filter(|accepted| *accepted > 0.0 && *accepted <= 1.0)
        })?;
        if risk.chance > accepted.unwrap_or(0.001) {
            return Err(SettingsError::new(
                ACCEPT_RISK,
                format!(
                    "{} or more, because a year of guessing opens an account with that chance: \
                     better set LIMITS_TABLE, longer codes or fewer mails (docs/settings.md)",
                    // Rounded up, so that what is asked for is enough.
                    ((risk.chance * 10_000.0).ceil() / 10_000.0).min(1.0)
                ),
            ));
        }
        Ok(settings)
    }
}

fn limits_table(vars: Lookup<'_>) -> Result<Option<String>, SettingsError> {
    let expected = "the name of a DynamoDB table: 3 to 255 letters, digits, dots, hyphens and underscores";
    let table = optional(vars, LIMITS_TABLE, expected, |name| {
        let fits =
            (3..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        fits.then(|| name.to_owned())
    })?;
    if table.is_none() && flag(vars, VERIFY_BY_CODE)? {
        return Err(SettingsError::new(
            VERIFY_BY_CODE,
            "false without a LIMITS_TABLE, which keeps the proof of an address",
        ));
    }
    Ok(table)
}

/// What Lambda tells every function about where it runs and as whom. Lambda ends an environment before its credentials do.
#[derive(Clone)]
pub struct AwsSettings {
    /// `AWS_REGION`.
    pub region: String,
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: Zeroizing<String>,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: Option<Zeroizing<String>>,
    /// `AWS_LAMBDA_FUNCTION_VERSION`: `$LATEST`, or the number of a published version.
    pub function_version: Option<String>,
    /// `AWS_ENDPOINT_URL_SESV2`, or else `AWS_ENDPOINT_URL`: another SES than the region's own.
    pub ses_endpoint_url: Option<String>,
    /// `AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER`, or else `AWS_ENDPOINT_URL`: another Cognito than the region's own.
    pub cognito_endpoint_url: Option<String>,
    /// `AWS_ENDPOINT_URL_DYNAMODB`, or else `AWS_ENDPOINT_URL`: another DynamoDB than the region's own.
    pub dynamodb_endpoint_url: Option<String>,
    /// `AWS_CA_BUNDLE`: a file of certificates, in PEM, of those who may vouch for AWS's services, instead of Mozilla's.
    pub ca_bundle: Option<String>,
}

impl AwsSettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<AwsSettings, SettingsError> {
        let given = |variable| vars(variable).filter(|text| !text.is_empty());
        let required = |variable| given(variable).ok_or_else(|| SettingsError::new(variable, "set, as Lambda sets it"));
        let url = |variable| {
            let is_url = |url: &String| url.starts_with("http://") || url.starts_with("https://");
            given(variable)
                .map(|url| Some(url).filter(is_url).ok_or_else(|| SettingsError::new(variable, "an http or https URL")))
        };
        Ok(AwsSettings {
            region: required("AWS_REGION")?,
            access_key_id: required("AWS_ACCESS_KEY_ID")?,
            secret_access_key: Zeroizing::new(required("AWS_SECRET_ACCESS_KEY")?),
            session_token: given("AWS_SESSION_TOKEN").map(Zeroizing::new),
            function_version: given("AWS_LAMBDA_FUNCTION_VERSION"),
            ses_endpoint_url: url("AWS_ENDPOINT_URL_SESV2").or_else(|| url("AWS_ENDPOINT_URL")).transpose()?,
            cognito_endpoint_url: url("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER")
                .or_else(|| url("AWS_ENDPOINT_URL"))
                .transpose()?,
            dynamodb_endpoint_url: url("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| url("AWS_ENDPOINT_URL")).transpose()?,
            ca_bundle: given("AWS_CA_BUNDLE"),
        })
    }
}

/// What lines of the log say of the function, and which of them there are.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// [`POWERTOOLS_LOG_LEVEL`], or else `AWS_LAMBDA_LOG_LEVEL`, Lambda's own setting.
    pub level: LevelFilter,
    /// [`POWERTOOLS_SERVICE_NAME`].
    pub service: String,
    /// [`POWERTOOLS_METRICS_NAMESPACE`], unless [`POWERTOOLS_METRICS_DISABLED`].
    pub metrics_namespace: Option<String>,
    /// `AWS_LAMBDA_FUNCTION_NAME`.
    pub function_name: Option<String>,
    /// `AWS_LAMBDA_FUNCTION_MEMORY_SIZE`, in MB.
    pub function_memory_size: Option<String>,
}

impl LogSettings {
    /// # Errors
    ///
    /// Names the variable that cannot be used.
    pub fn from_vars(vars: Lookup<'_>) -> Result<LogSettings, SettingsError> {
        const LEVELS: [Level; 5] = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
        let named = |word: &str| LEVELS.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(word));
        let of_lambda = || match vars("AWS_LAMBDA_LOG_LEVEL").as_deref() {
            // Lambda's name for the least that it offers.
            Some("FATAL") => Level::ERROR,
            level => level.and_then(named).unwrap_or(Level::INFO),
        };
        let ours = optional(vars, POWERTOOLS_LOG_LEVEL, "TRACE, DEBUG, INFO, WARN or ERROR", named)?;
        let name = |variable, longest: usize, default: &str| {
            let expected = format!("1 to {longest} letters, digits or . - _ / # :");
            let name = optional(vars, variable, &expected, |name| {
                let fits = |b: u8| b.is_ascii_alphanumeric() || b".-_/#:".contains(&b);
                (name.len() <= longest && name.bytes().all(fits)).then(|| name.to_owned())
            });
            Ok(name?.unwrap_or_else(|| default.to_owned()))
        };
        let disabled = flag(vars, POWERTOOLS_METRICS_DISABLED)?;
        let namespace = name(POWERTOOLS_METRICS_NAMESPACE, 255, "CustomSignIn")?;
        Ok(LogSettings {
            level: ours.unwrap_or_else(of_lambda).into(),
            service: name(POWERTOOLS_SERVICE_NAME, 128, "custom-sign-in")?,
            metrics_namespace: (!disabled).then_some(namespace),
            function_name: vars("AWS_LAMBDA_FUNCTION_NAME"),
            function_memory_size: vars("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"),
        })
    }
}

fn code_keys(vars: Lookup<'_>) -> Result<CodeKeys, SettingsError> {
    let example_is_allowed = vars("AWS_SAM_LOCAL").as_deref() == Some("true");
    let key = |variable, secret: Zeroizing<String>| {
        let fits = (32..=256).contains(&secret.len())
            && secret.bytes().all(|b| b.is_ascii_graphic())
            // A dynamic reference that CloudFormation was to replace by the secret, and did not.
            && !secret.starts_with("{{resolve:");
        if !fits {
            Err(SettingsError::new(variable, "a secret of 32 to 256 printable ASCII characters without spaces"))
        } else if *secret == EXAMPLE_CODE_KEY && !example_is_allowed {
            Err(SettingsError::new(variable, "a secret of your own: this one is published with the event fixtures"))
        } else {
            Ok(CodeKey::new(secret.as_bytes()))
        }
    };
    let secret = |variable| Zeroizing::new(vars(variable).unwrap_or_default());
    let previous = secret(CODE_KEY_PREVIOUS);
    Ok(CodeKeys {
        current: key(CODE_KEY, secret(CODE_KEY))?,
        previous: if previous.is_empty() { None } else { Some(key(CODE_KEY_PREVIOUS, previous)?) },
    })
}

fn number<T: Copy + Display + FromStr + PartialOrd>(
    vars: Lookup<'_>,
    variable: &'static str,
    default: T,
    from: T,
    to: T,
) -> Result<T, SettingsError> {
    let Some(text) = vars(variable) else { return Ok(default) };
    let number = text.parse().ok().filter(|number| (from..=to).contains(number));
    number.ok_or_else(|| SettingsError::new(variable, format!("a whole number from {from} to {to}")))
}

/// One of a few words; the first is the default.
fn one_of<T: Copy>(vars: Lookup<'_>, variable: &'static str, choices: &[(&str, T)]) -> Result<T, SettingsError> {
    let given = vars(variable);
    let choice = match &given {
        None => choices.first(),
        Some(word) => choices.iter().find(|(name, _)| name == word),
    };
    let words = || choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" or ");
    choice.map(|(_, value)| *value).ok_or_else(|| SettingsError::new(variable, words()))
}

fn flag(vars: Lookup<'_>, variable: &'static str) -> Result<bool, SettingsError> {
    one_of(vars, variable, &[("false", false), ("true", true)])
}

/// A value that may be missing; empty text is none, as templates leave it.
fn optional<T>(
    vars: Lookup<'_>,
    variable: &'static str,
    expected: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, SettingsError> {
    let text = vars(variable).filter(|text| !text.is_empty());
    text.map(|text| parse(&text).ok_or_else(|| SettingsError::new(variable, expected))).transpose()
}

/// Entries with commas between; white space around them does not count, and empty text is an empty list.
fn list<T>(
    vars: Lookup<'_>,
    variable: &'static str,
    expected: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, SettingsError> {
    let text = vars(variable).unwrap_or_default();
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let entries: Option<Vec<T>> = text.split(',').map(|entry| parse(entry.trim())).collect();
    entries.ok_or_else(|| SettingsError::new(variable, expected))
}
