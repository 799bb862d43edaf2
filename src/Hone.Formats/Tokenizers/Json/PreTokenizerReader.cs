namespace Hone.Formats.Tokenizers;

/// <summary>Reads <c>pre_tokenizer</c> as a flat list; a ByteLevel ends with <see cref="ByteAlphabetPreTokenizer"/>.</summary>
internal static class PreTokenizerReader
{
    // Rust's char::is_numeric: category N of Unicode 17, which adds these to the runtime's Unicode 16.
    private const string Number = @"[\p{N}\x{11DE0}-\x{11DE9}\x{16FF4}-\x{16FF6}]";
    private const string Punctuation = @"[!-/:-@\[-`{-~\p{P}]";
    private const string Space = @"\s";

    public static void Read(JsonFields fields, List<PreTokenizer> list)
    {
        string type = fields.Text("type");
        switch (type)
        {
            case "Sequence":
                foreach (JsonFields item in fields.Objects("pretokenizers"))
                    Read(item, list);
                break;
            case "ByteLevel":
                fields.Flag("trim_offsets", true); // offsets here are whole characters always
                if (fields.Flag("add_prefix_space", true))
                    list.Add(new PrefixPreTokenizer(" "));
                if (fields.Flag("use_regex", true))
                    list.Add(new SplitPreTokenizer(new CoveringPattern(WordPatterns.Gpt2), SplitBehavior.Isolated));
                list.Add(new ByteAlphabetPreTokenizer());
                break;
            case "Split":
                list.Add(new SplitPreTokenizer(PatternReader.Read(fields, "pattern"), Behavior(fields), fields.Flag("invert")));
                break;
            case "Digits":
                list.Add(fields.Flag("individual_digits", false) ? Split(new CoveringPattern(WordPatterns.IndividualDigits)) : Split(RegexPattern.Parse(Number), SplitBehavior.Contiguous));
                break;
            case "Punctuation":
                list.Add(Split(RegexPattern.Parse(Punctuation), fields.Optional("behavior") is null ? SplitBehavior.Isolated : Behavior(fields)));
                break;
            case "Metaspace":
                list.Add(Metaspace(fields));
                break;
            case "Whitespace":
                list.Add(Split(RegexPattern.Parse(@"[\w\u200c\u200d]+|[^\w\s\u200c\u200d]+"), SplitBehavior.Removed, invert: true));
                break;
            case "WhitespaceSplit":
                list.Add(Split(RegexPattern.Parse(Space), SplitBehavior.Removed));
                break;
            case "BertPreTokenizer":
                list.Add(Split(RegexPattern.Parse(Space), SplitBehavior.Removed));
                list.Add(Split(RegexPattern.Parse(Punctuation)));
                break;
            case "CharDelimiterSplit":
                list.Add(Split(new LiteralPattern(fields.Character("delimiter")), SplitBehavior.Removed));
                break;
            default:
                throw fields.Error("type", $"is {JsonFields.Quote(type)}. Supported are Sequence, ByteLevel, Split, Digits, Punctuation, Metaspace, Whitespace, WhitespaceSplit, BertPreTokenizer and CharDelimiterSplit.");
        }
        fields.Done();
    }

    public static PrependScheme Scheme(JsonFields fields)
    {
        PrependScheme scheme = fields.OptionalText("prepend_scheme") switch
        {
            null or "always" => PrependScheme.Always,
            "first" => PrependScheme.First,
            "never" => PrependScheme.Never,
            string other => throw fields.Error("prepend_scheme", $"is {JsonFields.Quote(other)}; wanted is \"always\", \"first\" or \"never\"."),
        };
        if (fields.Flag("add_prefix_space", true))
            return scheme;
        return scheme == PrependScheme.First ? throw fields.Error("add_prefix_space", "is false, but prepend_scheme is \"first\".") : PrependScheme.Never;
    }

    private static MetaspacePreTokenizer Metaspace(JsonFields fields)
    {
        fields.OptionalText("str_rep"); // the replacement once more
        return new MetaspacePreTokenizer(fields.Character("replacement"), Scheme(fields), fields.Flag("split", true));
    }

    private static SplitBehavior Behavior(JsonFields fields) => fields.Text("behavior") switch
    {
        "Removed" => SplitBehavior.Removed,
        "Isolated" => SplitBehavior.Isolated,
        "MergedWithPrevious" => SplitBehavior.MergedWithPrevious,
        "MergedWithNext" => SplitBehavior.MergedWithNext,
        "Contiguous" => SplitBehavior.Contiguous,
        string other => throw fields.Error("behavior", $"is {JsonFields.Quote(other)}; wanted is Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous."),
    };

    private static SplitPreTokenizer Split(TextPattern pattern, SplitBehavior behavior = SplitBehavior.Isolated, bool invert = false) => new(pattern, behavior, invert);
}
