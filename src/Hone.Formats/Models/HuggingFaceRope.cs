namespace Hone.Formats.Models;

/// <summary>The rotary embeddings that a <c>config.json</c> describes.</summary>
internal sealed record RopeSettings(RopeConfig Rope, RopeConfig? Local, double PartialFactor, QueryGrowth? Growth);

/// <summary>
/// Reads rotary settings in both styles: <c>rope_theta</c> and <c>rope_scaling</c>, or <c>rope_parameters</c> with both inside, perhaps by kind of layer. A kind or
/// key that is not known is refused: ignored, it would turn every text into another one.
/// </summary>
internal sealed class HuggingFaceRope(ConfigKeys keys, string family, int headDim, int context)
{
    private const string Full = "full_attention";
    private const string Sliding = "sliding_attention";

    /// <summary>What the family's code takes where the config names no θ.</summary>
    private double DefaultTheta => family switch
    {
        "gemma3_text" or "mixtral" => 1_000_000,
        "smollm3" => 2_000_000,
        _ => 10_000,
    };

    public RopeSettings Read()
    {
        double? theta = keys.Positive("rope_theta");
        double? localTheta = family == "gemma3_text" ? keys.Positive("rope_local_base_freq") : null;
        double? partial = keys.Positive("partial_rotary_factor");
        int? original = family == "phi3" ? keys.Count("original_max_position_embeddings") : null;
        ConfigKeys? scaling = keys.Object("rope_scaling"), parameters = keys.Object("rope_parameters");
        if (scaling is not null && parameters is not null)
            throw keys.Refused("rope_scaling", "beside rope_parameters, so that it is not clear which of them holds");

        ConfigKeys? full = scaling ?? parameters, sliding = null;
        if (parameters is { HoldsObjects: true })
        {
            full = parameters.Object(Full) ?? throw parameters.Missing(Full);
            sliding = parameters.Object(Sliding);
            parameters.RefuseOthers();
        }
        Part main = ReadPart(full, theta ?? DefaultTheta, partial ?? 1, original);
        RopeConfig? local = sliding is not null ? ReadPart(sliding, 10_000, 1, null).Rope
            : family == "gemma3_text" ? new RopeConfig(localTheta ?? 10_000, null)
            : family == "olmo3" ? main.Rope with { Scaling = null } // the scaling is for layers that see the whole text
            : null;
        double factor = main.Partial;
        int turning = (int)(headDim * factor);
        if (factor > 1 || turning < 2 || turning % 2 != 0 || (factor != 1 && family != "phi3"))
            throw keys.Invalid($"a share of {factor} of {headDim} dimensions shall turn (partial_rotary_factor), which a {family} model cannot");
        return new RopeSettings(main.Rope, local == main.Rope ? null : local, factor, main.Growth);
    }

    private sealed record Part(RopeConfig Rope, double Partial, QueryGrowth? Growth);

    private Part ReadPart(ConfigKeys? part, double theta, double partial, int? original)
    {
        if (part is null)
            return new Part(new RopeConfig(theta, null), partial, null);
        theta = part.Positive("rope_theta") ?? theta;
        partial = part.Positive("partial_rotary_factor") ?? partial;
        string? kind = part.Text("rope_type"), older = part.Text("type");
        if (kind is not null && older is not null && kind != older)
            throw part.Refused("type", $"but rope_type is '{kind}'");
        string key = kind is null && older is not null ? "type" : "rope_type";
        kind ??= older ?? "default";
        if (family == "phi3" && kind is ("su" or "yarn"))
            kind = "longrope"; // what earlier configs of the family call it
        int turning = (int)(headDim * partial);
        RopeScaling? scaling = kind switch
        {
            "default" => null,
            "linear" => new RopeScaling { Kind = RopeKind.Linear, Factor = part.RequiredPositive("factor") },
            "dynamic" => Dynamic(part),
            "llama3" => Llama3(part),
            "yarn" => Yarn(part),
            "longrope" => LongRope(part, original, turning / 2),
            _ => throw part.Refused(key, "a rotary scaling that is not known"),
        };
        QueryGrowth? growth = null;
        if (family == "ministral3" && part.Number("llama_4_scaling_beta") is { } beta)
            growth = new QueryGrowth(beta, part.RequiredCount("original_max_position_embeddings"));
        part.Ignore("max_position_embeddings", "original_max_position_embeddings");
        part.RefuseOthers();
        return new Part(new RopeConfig(theta, scaling), partial, growth);
    }

    private RopeScaling Dynamic(ConfigKeys part)
    {
        if (headDim <= 2)
            throw keys.Invalid($"heads of {headDim} dimensions cannot have dynamic rotary scaling");
        return new RopeScaling { Kind = RopeKind.Dynamic, Factor = AtLeastOne(part, "factor") };
    }

    private static double AtLeastOne(ConfigKeys part, string key) => part.RequiredPositive(key) is >= 1 and var factor ? factor : throw part.Refused(key, "but a scaling of at least 1 is needed");

    private RopeScaling Llama3(ConfigKeys part)
    {
        double low = part.RequiredPositive("low_freq_factor"), high = part.RequiredPositive("high_freq_factor");
        if (high <= low)
            throw part.Refused("high_freq_factor", $"but low_freq_factor is {low}, which must be less");
        return new RopeScaling
        {
            Kind = RopeKind.Llama3,
            Factor = part.RequiredPositive("factor"),
            LowFrequencyFactor = low,
            HighFrequencyFactor = high,
            OriginalContext = part.Count("original_max_position_embeddings") ?? context,
        };
    }

    private RopeScaling Yarn(ConfigKeys part)
    {
        int original = part.Count("original_max_position_embeddings") ?? context;
        double factor = part.Positive("factor") ?? (double)context / original;
        double? m = part.Number("mscale"), all = part.Number("mscale_all_dim");
        double magnitude = part.Positive("attention_factor") ?? (m is { } some and not 0 && all is { } each and not 0 ? Growth(some) / Growth(each) : Growth(1));
        return new RopeScaling
        {
            Kind = RopeKind.Yarn,
            Factor = factor,
            OriginalContext = original,
            BetaFast = part.Positive("beta_fast") ?? 32,
            BetaSlow = part.Positive("beta_slow") ?? 1,
            Truncate = part.Flag("truncate", true),
            Magnitude = magnitude,
        };

        double Growth(double weight) => factor <= 1 ? 1 : 0.1 * weight * Math.Log(factor) + 1;
    }

    private RopeScaling LongRope(ConfigKeys part, int? outer, int pairs)
    {
        int original = outer ?? part.Count("original_max_position_embeddings") ?? context;
        if (original < 2)
            throw keys.Invalid($"a context of {original} cannot be lengthened (original_max_position_embeddings)");
        double factor = part.Positive("factor") ?? (double)context / original;
        return new RopeScaling
        {
            Kind = RopeKind.LongRope,
            Factor = factor,
            OriginalContext = original,
            Magnitude = part.Positive("attention_factor") ?? (factor <= 1 ? 1 : Math.Sqrt(1 + Math.Log(factor) / Math.Log(original))),
            ShortFactors = part.Factors("short_factor", pairs),
            LongFactors = part.Factors("long_factor", pairs),
        };
    }
}
