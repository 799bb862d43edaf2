using Hone.Formats.Inference;
using Hone.Training.Generation;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using static TorchSharp.torch;

namespace Hone.Training.Tests.Generation;

public sealed class AdapterStoreTests : IDisposable
{
    private const int Many = 100;

    private static readonly string s_folder = Path.Combine(Path.GetDirectoryName(Reference.Files("models/llama/reference.safetensors").First())!, "adapter");

    private readonly TinyModel _model = TinyModel.Llama();

    [Fact]
    public void Take_HundredAdapters_AllAnswerInTurnAndAnEvictedOneComesBack()
    {
        using var store = new AdapterStore(_model.Decoder, Many);
        LoraAdapter[] loaded = [.. Enumerable.Range(0, Many).Select(i => Take(store, i))];
        for (int i = 0; i < Many; i++)
            loaded[i].Parameters.TimesInPlace(1 + i * 0.01); // each answers otherwise
        float[][] answers = [.. loaded.Select(Answer)];
        Assert.Equal(Many, answers.Select(a => a[0]).Distinct().Count());
        Assert.Equal(Many, store.Count);
        for (int i = 0; i < Many; i++)
        {
            Assert.Same(loaded[i], Take(store, i));
            Assert.Equal(answers[i], Answer(Take(store, i)));
        }

        Take(store, Many);

        Assert.Equal(Many, store.Count);
        Assert.True(loaded[0].Parameters.IsInvalid, "The oldest is still in memory.");
        LoraAdapter again = Take(store, 0);
        Assert.NotSame(loaded[0], again);
        Assert.Equal(answers[0], Answer(again)); // its factor is 1
        Assert.Same(loaded[2], Take(store, 2));
        Assert.NotSame(loaded[1], Take(store, 1));
    }

    [Fact]
    public void Take_MoreBytesThanTheBound_TheOldestGoes()
    {
        long bytes;
        using (var one = new AdapterStore(_model.Decoder))
            bytes = AdapterStore.BytesOf(Take(one, 0));
        using var store = new AdapterStore(_model.Decoder, Many, 3 * bytes);
        LoraAdapter[] loaded = [.. Enumerable.Range(0, 3).Select(i => Take(store, i))];
        Take(store, 0);
        Take(store, 3);
        Assert.Equal(3, store.Count);
        Assert.Equal([false, true, false], loaded.Select(a => a.Parameters.IsInvalid));
    }

    [Fact]
    public void Take_EvictedWhileUsed_IsFreedWhenTheLastUseEnds()
    {
        using var store = new AdapterStore(_model.Decoder, 1);
        AdapterUse first = Use(store, 0), second = Use(store, 0);
        Assert.Same(first.Adapter, second.Adapter);
        float[] expected = Answer(first.Adapter);
        Take(store, 1);
        first.Dispose();
        first.Dispose();
        Assert.Equal(expected, Answer(second.Adapter));
        second.Dispose();
        Assert.True(second.Adapter.Parameters.IsInvalid);
    }

    [Fact]
    public async Task Take_BadFiles_ThrowsAndKeepsNothing()
    {
        using var store = new AdapterStore(_model.Decoder);
        string folder = Path.Combine(s_folder, "nonexistent");
        await Assert.ThrowsAnyAsync<IOException>(() => store.TakeAsync(new GenerateRequest { AdapterPath = folder }));
        Assert.Equal(0, store.Count);
        Assert.Null(await store.TakeAsync(new GenerateRequest()));
    }

    /// <summary>Adapters are added to the rows that they belong to; who else is in the batch changes no bit.</summary>
    [Fact]
    public void Forward_EightStreamsOfFourAdapters_EachHasTheBitsItHasAlone()
    {
        using var store = new AdapterStore(_model.Decoder, Many);
        LoraAdapter[] adapters = [.. Enumerable.Range(0, 4).Select(i => Take(store, i))];
        for (int i = 0; i < adapters.Length; i++)
            adapters[i].Parameters.TimesInPlace(1 + i * 0.1);
        float[][] together = NextToken([.. adapters.SelectMany((a, i) => new[] { (a, 2 * i), (a, 2 * i + 1) })]);
        Assert.Equal(8, together.Select(t => t[0]).Distinct().Count());
        for (int i = 0; i < together.Length; i++)
            Assert.Equal(NextToken([(adapters[i / 2], i)])[0], together[i]);
    }

    public void Dispose() => _model.Dispose();

    private static GenerateRequest Request(int number) => new() { AdapterPath = s_folder, AdapterKey = $"adapter {number}" };

    private static LoraAdapter Take(AdapterStore store, int number)
    {
        using AdapterUse use = Use(store, number);
        return use.Adapter;
    }

    private static AdapterUse Use(AdapterStore store, int number) => store.TakeAsync(Request(number)).GetAwaiter().GetResult()!;

    /// <summary>Logits [V] of each stream behind a prompt of its own, computed in one batch.</summary>
    private float[][] NextToken((LoraAdapter Adapter, int Last)[] streams)
    {
        using var scope = NewDisposeScope();
        KeyValueCache[] caches = [.. streams.Select(_ => new KeyValueCache(_model.Config))];
        for (int s = 0; s < streams.Length; s++)
        {
            _model.Decoder.Forward([1, 5, 9, streams[s].Last], [0, 1, 2, 3], new CachedAttention([(caches[s], 4)], _model.Decoder.AttentionShape), [new AdapterRows(streams[s].Adapter, 0, 4)]);
            caches[s].Length = 4;
        }
        using RowProduct.Use rowByRow = RowProduct.Begin();
        AdapterRows[] rows = [.. streams.Select((s, i) => (s.Adapter, i)).GroupBy(s => s.Adapter).Select(g => new AdapterRows(g.Key, g.First().i, g.Count()))];
        var attention = new CachedAttention([.. caches.Select(c => (c, 1))], _model.Decoder.AttentionShape);
        Tensor logits = _model.Decoder.Logits(_model.Decoder.Forward([.. streams.Select(_ => 7)], [.. streams.Select(_ => 4)], attention, rows), rows);
        foreach (KeyValueCache cache in caches)
            cache.Dispose();
        return [.. Reference.Floats(logits).ToArray().Chunk(_model.Config.VocabularySize)];
    }

    /// <summary>Logits [V] after a few tokens.</summary>
    private float[] Answer(LoraAdapter adapter)
    {
        using var scope = NewDisposeScope();
        using var cache = new KeyValueCache(_model.Config);
        int[] tokens = [1, 5, 9, 2];
        Tensor hidden = _model.Decoder.Forward(tokens, [0, 1, 2, 3], new CachedAttention([(cache, tokens.Length)], _model.Decoder.AttentionShape), [new AdapterRows(adapter, 0, tokens.Length)]);
        return Reference.Floats(_model.Decoder.Logits(hidden.narrow(0, 3, 1), [new AdapterRows(adapter, 0, 1)])).ToArray();
    }
}
