"""Which expectations Great Expectations 1.24 has, known here without importing it; a test compares the two."""

from __future__ import annotations

ROW_WISE = frozenset(
    {
        "ExpectColumnPairValuesAToBeGreaterThanB",
        "ExpectColumnPairValuesToBeEqual",
        "ExpectColumnPairValuesToBeInSet",
        "ExpectColumnValueLengthsToBeBetween",
        "ExpectColumnValueLengthsToEqual",
        "ExpectColumnValuesToBeBetween",
        "ExpectColumnValuesToBeDateutilParseable",
        "ExpectColumnValuesToBeInSet",
        "ExpectColumnValuesToBeJsonParseable",
        "ExpectColumnValuesToBeNull",
        "ExpectColumnValuesToMatchJsonSchema",
        "ExpectColumnValuesToMatchLikePattern",
        "ExpectColumnValuesToMatchLikePatternList",
        "ExpectColumnValuesToMatchRegex",
        "ExpectColumnValuesToMatchRegexList",
        "ExpectColumnValuesToMatchStrftimeFormat",
        "ExpectColumnValuesToNotBeInSet",
        "ExpectColumnValuesToNotBeNull",
        "ExpectColumnValuesToNotMatchLikePattern",
        "ExpectColumnValuesToNotMatchLikePatternList",
        "ExpectColumnValuesToNotMatchRegex",
        "ExpectColumnValuesToNotMatchRegexList",
        "ExpectMulticolumnSumToEqual",
        "ExpectMulticolumnValuesToBeEqual",
        "ExpectSelectColumnValuesToBeUniqueWithinRecord",
    }
)
"""Those that look at one record at a time: they are asked chunk by chunk, on all cores."""

WHOLE = frozenset(
    {
        "ExpectColumnDistinctValuesToBeInSet",
        "ExpectColumnDistinctValuesToContainSet",
        "ExpectColumnDistinctValuesToEqualSet",
        "ExpectColumnKLDivergenceToBeLessThan",
        "ExpectColumnMaxToBeBetween",
        "ExpectColumnMeanToBeBetween",
        "ExpectColumnMedianToBeBetween",
        "ExpectColumnMinToBeBetween",
        "ExpectColumnMostCommonValueToBeInSet",
        "ExpectColumnProportionOfNonNullValuesToBeBetween",
        "ExpectColumnProportionOfUniqueValuesToBeBetween",
        "ExpectColumnQuantileValuesToBeBetween",
        "ExpectColumnStdevToBeBetween",
        "ExpectColumnSumToBeBetween",
        "ExpectColumnToExist",
        "ExpectColumnTypeToBe",
        "ExpectColumnUniqueValueCountToBeBetween",
        "ExpectColumnValueZScoresToBeLessThan",
        "ExpectColumnValuesToBeDecreasing",
        "ExpectColumnValuesToBeInTypeList",
        "ExpectColumnValuesToBeIncreasing",
        "ExpectColumnValuesToBeOfType",
        "ExpectColumnValuesToBeUnique",
        "ExpectColumnValuesToNotBeOutliers",
        "ExpectCompoundColumnsToBeUnique",
        "ExpectMulticolumnValuesToBeUnique",
        "ExpectQueryResultsToMatchComparison",
        "ExpectTableColumnCountToBeBetween",
        "ExpectTableColumnCountToEqual",
        "ExpectTableColumnsToMatchOrderedList",
        "ExpectTableColumnsToMatchSet",
        "ExpectTableRowCountToBeBetween",
        "ExpectTableRowCountToEqual",
        "ExpectTableRowCountToEqualOtherTable",
    }
)
"""Those that look at all records together: they are asked once, with no more columns than they name."""

EXPECTATIONS = ROW_WISE | WHOLE
