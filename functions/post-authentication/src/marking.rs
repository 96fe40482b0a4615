//! How an address is marked as verified.

use std::time::Duration;

use auth_challenge::email_address::EmailAddress;
use auth_challenge::settings::{AwsSettings, SettingsError};
use auth_challenge::user::SignIn;
use aws_connection::{Connection, sdk_config};
use aws_sdk_cognitoidentityprovider::Client;
use aws_sdk_cognitoidentityprovider::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cognitoidentityprovider::operation::admin_update_user_attributes::AdminUpdateUserAttributesError;
use aws_sdk_cognitoidentityprovider::types::AttributeType;

/// For the connection, with TLS.
const CONNECT: Duration = Duration::from_millis(800);

/// Marks addresses through Cognito's API.
pub(crate) struct Marker {
    client: Client,
}

impl Marker {
    /// # Errors
    ///
    /// `AWS_CA_BUNDLE` cannot be used.
    pub(crate) fn new(aws: AwsSettings) -> Result<Marker, SettingsError> {
        let connection = Connection::new(&aws, CONNECT)?;
        let endpoint_url = aws.cognito_endpoint_url.clone();
        Ok(Marker { client: Client::new(&sdk_config(aws, endpoint_url, connection)) })
    }

    /// Marks an address as verified. To do so twice changes nothing.
    ///
    /// # Errors
    ///
    /// In words of ours, why it was not marked.
    pub(crate) async fn mark(&self, sign_in: &SignIn, address: &EmailAddress) -> Result<(), &'static str> {
        let attribute = |name: &str, value: &str| AttributeType::builder().name(name).value(value).build();
        let (Ok(address), Ok(verified)) = (attribute("email", address.as_str()), attribute("email_verified", "true"))
        else {
            return Err("request_not_built");
        };
        let request = self
            .client
            .admin_update_user_attributes()
            .user_pool_id(&sign_in.user_pool_id)
            .username(&sign_in.user_name)
            // Both in one call: if the user has got another address meanwhile, it is not that one which is marked.
            .user_attributes(address)
            .user_attributes(verified);
        // Boxed, because the future of a call is large.
        match Box::pin(request.send()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(judge(&error)),
        }
    }
}

/// Judges Cognito's answer. The texts in it are foreign and are never passed on; what comes out are words of ours.
fn judge(error: &SdkError<AdminUpdateUserAttributesError>) -> &'static str {
    match error {
        SdkError::ServiceError(answer) => match answer.err().code() {
            // Somebody else has the address, verified, as an alias.
            Some("AliasExistsException") => "address_taken",
            Some("AccessDeniedException" | "NotAuthorizedException") => "access_denied",
            Some("InvalidParameterException") => "attribute_refused",
            Some("TooManyRequestsException" | "ThrottlingException") => "throttled",
            Some("UserNotFoundException") => "user_not_found",
            _ => "refused",
        },
        SdkError::ConstructionFailure(_) => "request_not_built",
        SdkError::DispatchFailure(_) => "not_connected",
        // Time-outs, answers that could not be read, and whatever the SDK may come to distinguish.
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) | _ => "no_answer",
    }
}
