using System.Globalization;
using System.Text;

namespace Hone.Core.Finetunes;

/// <summary>Limits and name rules of finetunes.</summary>
public static class FinetuneRules
{
    /// <summary>Before a name: of the public finetunes the one that is called so, whatever the account calls its own.</summary>
    internal const string PublicPrefix = "cf-public-";

    public static IReadOnlyList<CreateError> CheckName(string? name, HoneLimits limits)
    {
        if (string.IsNullOrEmpty(name))
            return [new(CreateErrorCode.BadName, "name", $"name is required: 1 to {limits.NameLength} printable characters.")];
        var errors = new List<CreateError>();
        int length = 0;
        for (int i = 0; i < name.Length; length++)
        {
            if (Rune.DecodeFromUtf16(name.AsSpan(i), out Rune rune, out int used) != System.Buffers.OperationStatus.Done || !IsPrintable(rune))
            {
                errors.Add(new(CreateErrorCode.BadName, "name", $"name has a character that cannot be printed (U+{(int)name[i]:X4}) at position {length + 1}; take it out."));
                break;
            }
            i += used;
        }
        length = name.EnumerateRunes().Count();
        if (length > limits.NameLength)
            errors.Add(new(CreateErrorCode.BadName, "name", $"name has {length} characters; {limits.NameLength} are allowed."));
        if (errors.Count == 0 && name.AsSpan().Trim().Length != name.Length)
            errors.Add(new(CreateErrorCode.BadName, "name", "name begins or ends with white space; take it out."));
        // What a client's address leaves out, or another call's address is, would name nothing.
        if (name is "." or ".." or "public")
            errors.Add(new(CreateErrorCode.BadName, "name", $"A finetune cannot be named {Quote(name)}, an address with that leads elsewhere; choose another."));
        foreach (string prefix in limits.ReservedPrefixes)
        {
            if (name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase))
                errors.Add(new(CreateErrorCode.ReservedName, "name", $"Names that begin with \"{prefix}\" are reserved; choose another."));
        }
        return errors;
    }

    /// <summary>Of a job: part of its model's name.</summary>
    public static IReadOnlyList<CreateError> CheckSuffix(string? suffix, HoneLimits limits)
    {
        if (suffix is null)
            return [];
        int length = suffix.EnumerateRunes().Count();
        if (length is < 1 or > MaxSuffix)
            return [new(CreateErrorCode.BadName, "suffix", $"suffix has {length} characters; 1 to {MaxSuffix} are allowed.")];
        if (limits.ReservedPrefixes.FirstOrDefault(p => suffix.StartsWith(p, StringComparison.OrdinalIgnoreCase)) is { } reserved)
            return [new(CreateErrorCode.ReservedName, "suffix", $"Names that begin with \"{reserved}\" are reserved; choose another suffix.")];
        return suffix.EnumerateRunes().All(IsPrintable) && suffix.AsSpan().Trim().Length == suffix.Length ? []
            : [new(CreateErrorCode.BadName, "suffix", $"suffix {Quote(suffix)} has a character that cannot be printed, or white space at its ends; take it out.")];
    }

    private const int MaxSuffix = 64;

    public static IReadOnlyList<CreateError> CheckDescription(string? description, HoneLimits limits)
    {
        int length = description?.EnumerateRunes().Count() ?? 0;
        return length <= limits.DescriptionLength ? []
            : [new(CreateErrorCode.DescriptionTooLong, "description", $"description has {length} characters; {limits.DescriptionLength} are allowed.")];
    }

    /// <summary><c>ft:BASE:ACCOUNT:SUFFIX:ID</c>; the suffix of a finetune that was given none is its name.</summary>
    public static string ModelName(Finetune finetune) =>
        $"{ModelPrefix}{finetune.Model}:{finetune.AccountId}:{finetune.Suffix ?? (finetune.IsJob ? "" : finetune.Name)}:{finetune.Id}";

    /// <summary>The adapter as it was after a step.</summary>
    public static string CheckpointName(Finetune finetune, int step) => string.Create(CultureInfo.InvariantCulture, $"{ModelName(finetune)}{StepMark}{step}");

    /// <summary>Whether a name has the form of a finetune's model; its id, and the step where it names a checkpoint. Whether all of it is right only the finetune tells.</summary>
    public static bool TryParseModelName(string name, out Guid id, out int? step)
    {
        (id, step) = (default, null);
        if (!name.StartsWith(ModelPrefix, StringComparison.Ordinal))
            return false;
        int mark = name.LastIndexOf(StepMark, StringComparison.Ordinal);
        if (mark > 0 && int.TryParse(name.AsSpan(mark + StepMark.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int number))
        {
            step = number;
            name = name[..mark];
        }
        return Guid.TryParseExact(name[(name.LastIndexOf(':') + 1)..], "D", out id);
    }

    /// <summary>A model's name ends with what tells it from others.</summary>
    internal static string QuoteModel(string name) => Quote(name, 400);

    private const string ModelPrefix = "ft:";
    private const string StepMark = ":ckpt-step-";

    /// <summary>Text that may come from anywhere, made fit for one line of a message: cut, without control characters.</summary>
    internal static string Quote(string text, int most = 100)
    {
        var quoted = new StringBuilder(text.Length + 2).Append('"');
        foreach (Rune rune in text.EnumerateRunes().Take(most))
        {
            if (IsPrintable(rune))
                quoted.Append(rune);
            else
                quoted.Append(CultureInfo.InvariantCulture, $"\\u{rune.Value:x4}");
        }
        return quoted.Append(text.Length > most ? "…\"" : "\"").ToString();
    }

    // Joiners and variation selectors belong to written text and emoji; other format characters hide or turn it.
    private static bool IsPrintable(Rune rune) => Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.Control or UnicodeCategory.Surrogate or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator => false,
        UnicodeCategory.Format => rune.Value is 0x200C or 0x200D or (>= 0xE0020 and <= 0xE007F),
        _ => rune.Value != 0xFFFD,
    };
}
