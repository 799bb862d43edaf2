using Hone.Formats.Inference;
using Hone.Training.Generation;
using Hone.Training.Lora;

namespace Hone.Training.Tests.Generation;

[Trait("Category", "Slow")]
public sealed class PrefixCacheTests(EmbeddedBaseFixture fixture) : IClassFixture<EmbeddedBaseFixture>
{
    private const string Paris = "What is the capital of France?", Rome = "What is the capital of Italy, and which river runs through it?";

    [Fact]
    public void Begin_SharedSystemPrompt_IsNotComputedAgainAndTheAnswerIsTheSame()
    {
        using var cache = new PrefixCache();
        Answer(Paris, cache);
        using GenerationStream fresh = Start(Rome), known = Start(Rome);
        string expected = Finish(fresh);
        Assert.True(cache.Begin(known, []));
        Assert.InRange(known.Cache.Length, 16, known.Prompt.Length - 1);
        Assert.Equal(known.Prompt[known.Cache.Length..], known.Next);
        Assert.Equal(expected, Finish(known));
    }

    [Fact]
    public void Begin_TheSamePromptAgain_LeavesItsLastToken()
    {
        using var cache = new PrefixCache();
        string first = Answer(Paris, cache);
        using GenerationStream again = Start(Paris);
        Assert.True(cache.Begin(again, []));
        Assert.Equal(again.Prompt[^1..], again.Next);
        Assert.Equal(first, Finish(again));
    }

    [Fact]
    public void Begin_PromptOfARunningStream_WaitsForItsFirstPassThenSharesIt()
    {
        using var cache = new PrefixCache();
        using GenerationStream running = Start(Paris), joining = Start(Rome), fresh = Start(Rome);
        string expected = Finish(fresh);
        Assert.False(cache.Begin(joining, [running]));
        Generator.Pass(fixture.Decoder, [running]);
        Assert.True(cache.Begin(joining, [running]));
        Assert.InRange(joining.Cache.Length, 16, joining.Prompt.Length - 1);
        Assert.Equal(expected, Finish(joining));
    }

    /// <summary>Full pages of a common beginning are one memory, counted once, and outlive whoever computed them.</summary>
    [Fact]
    public void Begin_LongBeginning_SharesItsPages()
    {
        string beginning = string.Join(' ', Enumerable.Repeat("A sailing ship cannot sail straight into the wind.", 12));
        using var cache = new PrefixCache();
        Answer(beginning + " Why?", cache);
        long once = cache.Bytes;
        using GenerationStream first = Start(beginning + " How does it get there?"), second = Start(beginning + " Who knows?"), fresh = Start(beginning + " Who knows?");
        string expected = Finish(fresh);
        Assert.True(cache.Begin(first, []));
        Assert.True(cache.Begin(second, []));
        int full = second.Cache.Length / KeyValueCache.PageTokens;
        Assert.InRange(full, 3, 8);
        for (int page = 0; page < full; page++)
            Assert.Same(first.Cache.Pages[page], second.Cache.Pages[page]);
        Assert.NotSame(first.Cache.Pages[full], second.Cache.Pages[full]);

        Finish(first);
        cache.Keep(first);
        Assert.InRange(cache.Bytes, once + 1, once + first.Cache.Bytes - full * KeyValueCache.PageBytes(fixture.Model.Config));
        cache.Shrink(0);
        Assert.Equal(0, cache.Bytes);
        Assert.Equal(expected, Finish(second));
    }

    [Fact]
    public void Begin_OtherAdapter_SharesNothing()
    {
        using var cache = new PrefixCache();
        Answer(Paris, cache);
        using var adapter = new LoraAdapter(fixture.Decoder.Projections, new Dictionary<string, LoraModuleShape>(), trainable: false);
        using GenerationStream other = Start(Paris, adapter);
        cache.Begin(other, []);
        Assert.Equal(0, other.Cache.Length);
    }

    [Fact]
    public void Keep_OverTheBound_DropsTheOldest()
    {
        const string Other = "Name three colours.";
        using GenerationStream one = Start(Paris);
        Finish(one);
        using var cache = new PrefixCache(one.Cache.Bytes);
        Answer(Paris, cache);
        Answer(Other, cache);
        Assert.True(Known(Other) > Known(Paris));

        int Known(string question)
        {
            using GenerationStream stream = Start(question);
            cache.Begin(stream, []);
            return stream.Cache.Length;
        }
    }

    private GenerationStream Start(string question, LoraAdapter? adapter = null)
    {
        var request = new GenerateRequest { Prompt = question, MaxTokens = 12 };
        return new GenerationStream(fixture.Model, request, PromptEncoder.Encode(fixture.Model, request, CancellationToken.None), adapter, CancellationToken.None);
    }

    private string Answer(string question, PrefixCache cache)
    {
        using GenerationStream stream = Start(question);
        string answer = Finish(stream);
        cache.Keep(stream);
        return answer;
    }

    private string Finish(GenerationStream stream)
    {
        while (!stream.Finished)
            Generator.Pass(fixture.Decoder, [stream]);
        return Generator.TextOf(stream);
    }
}
