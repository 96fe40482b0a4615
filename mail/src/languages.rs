//! Which of the languages that there are is the best for a person.

use auth_challenge::recipient::LanguageTag;
use icu_locale::subtags::language;
use icu_locale::{LanguageIdentifier, Locale, LocaleDirectionality, LocaleExpander};

/// A language that there are templates in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Language {
    /// The folder with its templates.
    pub(crate) folder: String,
    /// Its BCP 47 tag.
    pub(crate) id: LanguageIdentifier,
    /// Whether it is written from right to left.
    pub(crate) right_to_left: bool,
    /// The tag with the script and region that are likely: `pt-Latn-BR` for `pt`.
    likely: LanguageIdentifier,
}

impl Language {
    /// The language of a folder. `None` if its name is no language tag.
    pub(crate) fn read(folder: &str) -> Option<Language> {
        let id = LanguageTag::parse(folder).and_then(|tag| identify(&tag))?;
        let likely = likely(&id);
        let right_to_left = LocaleDirectionality::new_extended().is_right_to_left(&likely);
        Some(Language { folder: folder.to_owned(), id, right_to_left, likely })
    }
}

/// The language for a person who wants `wished`: that very one, or else of those with the same language and script the one of the
/// person's region, or else of the region where most speak it, or else the first. So `pt-PT` gets `pt-BR` and `iw` gets `he`; but
/// `zh-TW`, which is written in another script, does not get `zh-Hans`.
///
/// It is told by its place.
pub(crate) fn choose(available: &[Language], wished: &LanguageTag) -> Option<usize> {
    let wished = identify(wished)?;
    if let Some(place) = available.iter().position(|language| language.id == wished) {
        return Some(place);
    }
    let wished = likely(&wished);
    let same_writing =
        |language: &Language| language.likely.language == wished.language && language.likely.script == wished.script;
    let home = likely(&LanguageIdentifier { region: None, ..wished.clone() }).region;
    let of = |region| available.iter().position(|language| same_writing(language) && language.likely.region == region);
    of(wished.region).or_else(|| of(home)).or_else(|| available.iter().position(same_writing))
}

/// Reads a tag as BCP 47 has it; extensions do not matter here.
fn identify(tag: &LanguageTag) -> Option<LanguageIdentifier> {
    let id = Locale::try_from_str(tag.as_str()).ok()?.id;
    (!id.language.is_unknown()).then_some(id)
}

/// The names under which people still ask for a language: what Java used until version 17, what Android and browsers call
/// Filipino and Norwegian, and Mandarin. CLDR's table of all old tags would be larger than the templates.
const ALIASES: [(icu_locale::subtags::Language, icu_locale::subtags::Language); 7] = [
    (language!("cmn"), language!("zh")),
    (language!("in"), language!("id")),
    (language!("iw"), language!("he")),
    (language!("ji"), language!("yi")),
    (language!("mo"), language!("ro")),
    (language!("nb"), language!("no")),
    (language!("tl"), language!("fil")),
];

/// Adds what is likely of a language of which only a part was said (CLDR's likely subtags).
fn likely(id: &LanguageIdentifier) -> LanguageIdentifier {
    let mut id = id.clone();
    if let Some((_, language)) = ALIASES.iter().find(|(alias, _)| *alias == id.language) {
        id.language = *language;
    }
    LocaleExpander::new_extended().maximize(&mut id);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [&str; 14] =
        ["ar", "de", "en", "es", "fr", "he", "it", "ja", "ko", "nl", "pl", "pt-BR", "tr", "zh-Hans"];

    fn chosen(available: &[&str], wished: &str) -> Option<String> {
        let available: Vec<Language> = available.iter().map(|tag| Language::read(tag).unwrap()).collect();
        choose(&available, &LanguageTag::parse(wished)?).map(|place| available[place].folder.clone())
    }

    #[test]
    fn people_get_their_language_in_their_script() {
        for (wished, expected) in [
            ("en", "en"),
            ("en-GB", "en"),
            ("EN_us", "en"),
            ("pt", "pt-BR"),
            ("pt-PT", "pt-BR"),
            ("pt_PT", "pt-BR"),
            ("pt-Latn-AO-x-private", "pt-BR"),
            ("es-419", "es"),
            ("fr-CA-u-ca-gregory", "fr"),
            ("de-CH-1996", "de"),
            ("zh", "zh-Hans"),
            ("zh-CN", "zh-Hans"),
            ("zh-SG", "zh-Hans"),
            ("zh-Hans-HK", "zh-Hans"),
            ("iw-IL", "he"),
            ("cmn-Hans-CN", "zh-Hans"),
            ("ar-EG", "ar"),
            ("nl-BE", "nl"),
            ("ja-JP", "ja"),
        ] {
            assert_eq!(chosen(&OURS, wished).as_deref(), Some(expected), "{wished}");
        }
        for wished in ["zh-TW", "zh-Hant", "zh-HK", "ru", "nb", "und", "und-US", "xx", "ku-Arab", "tr-Arab", "mul"] {
            assert_eq!(chosen(&OURS, wished), None, "{wished}");
        }
    }

    #[test]
    fn a_region_is_preferred_to_the_languages_home_and_that_to_any() {
        let portuguese = ["pt-AO", "pt-BR", "pt-PT"];
        for (wished, expected) in [("pt-PT", "pt-PT"), ("pt", "pt-BR"), ("pt-MZ", "pt-BR"), ("pt-AO", "pt-AO")] {
            assert_eq!(chosen(&portuguese, wished).as_deref(), Some(expected), "{wished}");
        }
        assert_eq!(chosen(&["pt-AO", "pt-PT"], "pt").as_deref(), Some("pt-AO"));
        assert_eq!(chosen(&["zh-Hans", "zh-Hant"], "zh-HK").as_deref(), Some("zh-Hant"));
        assert_eq!(chosen(&["en", "en-GB"], "en-GB").as_deref(), Some("en-GB"));
        assert_eq!(chosen(&["en", "en-GB"], "en-AU").as_deref(), Some("en"));
        // Also where another is as likely.
        for (available, wished) in [
            (["en", "en-US"], "en-US"),
            (["en", "en-US"], "en"),
            (["zh-Hans", "zh-Hans-CN"], "zh-Hans-CN"),
            (["ca", "ca-valencia"], "ca-valencia"),
        ] {
            assert_eq!(chosen(&available, wished).as_deref(), Some(wished));
        }
    }

    #[test]
    fn a_language_is_found_under_its_old_and_its_rare_names() {
        for (folder, wished) in [
            ("no", "nb-NO"),
            ("nb", "no"),
            ("id", "in-ID"),
            ("fil", "tl-PH"),
            ("ro", "mo"),
            ("yi", "ji"),
            ("gsw", "gsw-Latn-CH"),
            ("pt_BR", "pt"),
        ] {
            assert_eq!(chosen(&[folder], wished).as_deref(), Some(folder), "{wished}");
        }
    }

    #[test]
    fn arabic_and_hebrew_are_written_from_right_to_left() {
        let right_to_left: Vec<&str> =
            OURS.into_iter().filter(|tag| Language::read(tag).unwrap().right_to_left).collect();
        assert_eq!(right_to_left, ["ar", "he"]);
        for tag in ["fa", "az-Arab", "yi", "dv", "ur", "ku-Arab"] {
            assert!(Language::read(tag).unwrap().right_to_left, "{tag}");
        }
    }
}
