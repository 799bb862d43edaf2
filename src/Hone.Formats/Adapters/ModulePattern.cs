using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Hone.Formats.Adapters;

/// <summary>
/// PEFT's ways to name modules (peft/tuners/tuners_utils.py, <c>check_target_module_exists</c>, and peft/utils/other.py, <c>get_pattern_key</c>). One instance
/// serves one config: it keeps what it has compiled, and stops regular expressions that together take longer than a config deserves.
/// </summary>
internal sealed class ModulePattern
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_budget = TimeSpan.FromSeconds(4);

    private readonly ConcurrentDictionary<string, Regex> _compiled = new(StringComparer.Ordinal);
    private long _spent;

    /// <summary>An entry of a list: the whole name or its end behind a dot.</summary>
    public static bool EndsWith(string module, string entry) =>
        module.EndsWith(entry, StringComparison.Ordinal) && (module.Length == entry.Length || module[^(entry.Length + 1)] == '.');

    /// <summary>A string in the place of a list: a regular expression for the whole name.</summary>
    public bool IsWhole(string module, string pattern) => Match(module, pattern, $@"\A(?:{pattern})\z").Success;

    /// <summary>A key of <c>rank_pattern</c> or <c>alpha_pattern</c>: a regular expression for the end of the name behind a dot.</summary>
    public bool IsEnding(string module, string pattern)
    {
        if (!IsPlain(pattern))
            return Match(module, pattern, $@"\A(?:.*\.)?(?:{pattern})\z").Success;
        int start = module.Length - pattern.Length;
        if (start < 0 || (start > 0 && module[start - 1] != '.'))
            return false;
        for (int i = 0; i < pattern.Length; i++)
        {
            if (pattern[i] != '.' && pattern[i] != module[start + i])
                return false;
        }
        return true;
    }

    /// <summary>The module's layer where <paramref name="layersPattern"/> stands before the number; null where it lies in none.</summary>
    public int? Layer(string module, string layersPattern)
    {
        Match match = Match(module, layersPattern, $@"\A.*\.(?:{layersPattern})\.(?<layer>[0-9]+)\.");
        return match.Success && int.TryParse(match.Groups["layer"].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out int layer) ? layer : null;
    }

    /// <exception cref="ArgumentException">It is no regular expression.</exception>
    public static void Check(string pattern) => _ = Compile($"(?:{pattern})");

    /// <summary>Without operators but the dot: by far the most, and compared at once.</summary>
    private static bool IsPlain(string pattern) => pattern.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '-');

    private Match Match(string module, string pattern, string regex)
    {
        long start = Stopwatch.GetTimestamp();
        Match match;
        try
        {
            match = _compiled.GetOrAdd(regex, Compile).Match(module);
        }
        catch (RegexMatchTimeoutException e)
        {
            throw TooSlow(pattern, e);
        }
        return Interlocked.Add(ref _spent, Stopwatch.GetElapsedTime(start).Ticks) <= s_budget.Ticks ? match : throw TooSlow(pattern, null);
    }

    private static InvalidFileException TooSlow(string pattern, Exception? inner) =>
        new($"{AdapterConfig.FileName}: the regular expression '{pattern}' takes too long. Write a simpler one, or list the modules.", inner);

    // Python's named groups are the only difference in notation that such patterns show.
    private static Regex Compile(string pattern) => new(pattern.Replace("(?P<", "(?<", StringComparison.Ordinal), RegexOptions.CultureInvariant, s_timeout);
}
