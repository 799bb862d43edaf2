using System.Text.Json;

namespace Hone.Formats.Tokenizers;

/// <summary>Reads <c>decoder</c>.</summary>
internal static class DecoderReader
{
    /// <summary>A step to be made anew for each text, given whether the text is decoded as a whole.</summary>
    private delegate DecoderStep Maker(bool whole);

    public static TokenDecoder Read(JsonElement? value, string source, Vocabulary vocabulary)
    {
        if (value is null)
            return new DecoderChain(vocabulary, _ => [new JoinStep()]);
        List<Maker> makers = [];
        bool fused = false;
        bool onlyByteLevel = true;
        Read(new JsonFields(source, "decoder", value.Value), makers, ref fused, ref onlyByteLevel);
        return onlyByteLevel && makers.Count == 1 ? new ByteLevelDecoder(vocabulary, addedAsText: false) : new DecoderChain(vocabulary, whole => [.. makers.Select(make => make(whole))]);
    }

    /// <param name="fields">The decoder.</param>
    /// <param name="makers">Takes its steps.</param>
    /// <param name="fused">Whether a step before has made one text of all tokens.</param>
    /// <param name="onlyByteLevel">Made false by any step that is no ByteLevel.</param>
    private static void Read(JsonFields fields, List<Maker> makers, ref bool fused, ref bool onlyByteLevel)
    {
        string type = fields.Text("type");
        bool isFused = fused;
        onlyByteLevel &= type is "ByteLevel" or "Sequence";
        switch (type)
        {
            case "Sequence":
                foreach (JsonFields item in fields.Objects("decoders"))
                    Read(item, makers, ref fused, ref onlyByteLevel);
                break;
            case "ByteLevel":
                fields.Flag("add_prefix_space", true);
                fields.Flag("trim_offsets", true);
                fields.Flag("use_regex", true);
                makers.Add(_ => new ByteLevelStep(isFused));
                fused = true;
                break;
            case "ByteFallback":
                // One text is never one byte's token, but for a decoder that nobody writes.
                if (fused)
                    throw fields.Error("type", "is \"ByteFallback\" behind a step that joins the tokens, which is not supported.");
                makers.Add(whole => new ByteFallbackStep(whole));
                break;
            case "Fuse":
                makers.Add(_ => new FuseStep());
                fused = true;
                break;
            case "Replace":
                TextPattern pattern = PatternReader.Read(fields, "pattern");
                var replace = new ReplaceNormalizer(pattern, fields.Text("content"));
                bool acrossParts = fused && pattern is not LiteralPattern { Literal.Length: 1 };
                makers.Add(_ => new ReplaceStep(replace, acrossParts));
                break;
            case "Strip":
                (string character, int start, int stop) = (fields.Character("content"), fields.Number("start"), fields.Number("stop"));
                if (start < 0 || stop < 0)
                    throw fields.Error(start < 0 ? "start" : "stop", "is negative.");
                makers.Add(isFused && stop == 0 ? _ => new StripStartStep(character, start) : _ => new StripStep(character, start, stop, isFused));
                break;
            case "Metaspace":
                (string sign, PrependScheme scheme) = (fields.Character("replacement"), PreTokenizerReader.Scheme(fields));
                fields.OptionalText("str_rep");
                fields.Flag("split", true);
                makers.Add(_ => new MetaspaceStep(sign, scheme, isFused));
                break;
            default:
                throw fields.Error("type", $"is {JsonFields.Quote(type)}. Supported are Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip and Metaspace.");
        }
        fields.Done();
    }
}
