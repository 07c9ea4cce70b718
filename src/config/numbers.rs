//! Numbers: what the configuration says of how numbers are written, for all datasets, for a market, for a dataset. The
//! narrower one wins, and what the configuration says of a market wins over what a profile says of its datasets.

use crate::config::keys::has_key;
use crate::config::{Settings, Unmatched};
use crate::feed::dataset::{Dataset, DatasetSettings};
use crate::feed::number_form::decimal;
use crate::values::cell::NullTokens;
use crate::values::currency::CurrencyCodes;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What may be said for all datasets, or for those of one market.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NumberSettings {
    /// What stands before decimals.
    #[serde(default)]
    decimal: String,
    /// What may stand beside amounts.
    #[serde(default)]
    currencies: CurrencyCodes,
}

/// The feeds, each with what it is in markets of which something else is said.
pub(super) fn datasets(
    settings: &Settings,
    own: &config::Config,
    null_tokens: &Arc<NullTokens>,
) -> Result<Vec<Arc<Dataset>>, String> {
    decimal("defaults", &settings.defaults.decimal)?;
    for (market, of_market) in &settings.markets {
        decimal(&format!("markets.{market}"), &of_market.decimal)?;
    }
    let mut datasets = Vec::new();
    for (name, dataset) in &settings.datasets {
        let is_own = |key: &str| has_key(own, ["datasets", name, key]);
        let layers = Layers { defaults: &settings.defaults, dataset, is_own: &is_own };
        let in_markets = settings.markets.iter().map(|(market, of_market)| {
            Ok((market.clone(), Arc::new(Dataset::new(name, &layers.settings(Some(of_market)), null_tokens)?)))
        });
        let in_markets: BTreeMap<_, _> = in_markets.collect::<Result<_, String>>()?;
        let everywhere = Dataset::new(name, &layers.settings(None), null_tokens)?;
        datasets.push(Arc::new(everywhere.with_markets(in_markets)));
    }
    if settings.unmatched == Unmatched::Create {
        let nothing = DatasetSettings::default();
        let layers = Layers { defaults: &settings.defaults, dataset: &nothing, is_own: &|_| false };
        let template = Dataset::template(&settings.unmatched_key, &datasets, null_tokens, &layers.settings(None))?;
        // The last one: a file belongs to the first dataset that matches.
        datasets.push(Arc::new(template));
    }
    Ok(datasets)
}

/// What is said of a dataset's numbers, at several places.
struct Layers<'a> {
    defaults: &'a NumberSettings,
    dataset: &'a DatasetSettings,
    /// Whether the configuration itself, rather than a profile, says this of the dataset.
    is_own: &'a dyn Fn(&str) -> bool,
}

impl Layers<'_> {
    /// The dataset's settings, in a market if something is said of that.
    fn settings(&self, market: Option<&NumberSettings>) -> DatasetSettings {
        let nothing = NumberSettings::default();
        let market = market.unwrap_or(&nothing);
        let dataset = self.dataset;
        let decimals = match (self.is_own)("decimal") {
            true => [&dataset.decimal, &market.decimal],
            false => [&market.decimal, &dataset.decimal],
        };
        let decimal = decimals.into_iter().find(|decimal| !decimal.is_empty()).unwrap_or(&self.defaults.decimal);
        let mut currencies = self.defaults.currencies.clone();
        match (self.is_own)("currencies") {
            true => {
                currencies.extend(market.currencies.clone());
                currencies.extend(dataset.currencies.clone());
            }
            false => {
                currencies.extend(dataset.currencies.clone());
                currencies.extend(market.currencies.clone());
            }
        }
        DatasetSettings { decimal: decimal.clone(), currencies, ..dataset.clone() }
    }
}
