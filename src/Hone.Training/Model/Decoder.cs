using Hone.Formats.Models;
using Hone.Training.Kernels;
using Hone.Training.Lora;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Model;

/// <summary>
/// The one decoder for every family: embedding, blocks, final norm, head. A batch is a flat run of tokens [N]; which of them see each other is the
/// <see cref="Attention"/>'s affair, so training on a prefix tree and answering many streams at once are the same code.
/// </summary>
internal sealed class Decoder : TrainingDecoder
{
    private readonly FrozenWeight _embedding; // [V, D]
    private readonly FrozenWeight _headWeight; // [V, D]
    private readonly OutputHead _head;
    private readonly RmsNorm _finalNorm;
    private readonly DecoderLayer[] _layers;
    private readonly Rope _rope;
    private readonly WidenBuffer? _buffer;

    /// <param name="buffer">Of weights that stay as they are stored.</param>
    public Decoder(ModelConfig config, FrozenWeight embedding, FrozenWeight head, RmsNorm finalNorm, DecoderLayer[] layers, WidenBuffer? buffer)
    {
        Config = config;
        _embedding = embedding;
        _headWeight = head;
        _head = new OutputHead(head, config.LogitMultiplier, config.LogitSoftcap);
        _finalNorm = finalNorm;
        _layers = layers;
        _buffer = buffer;
        _rope = new Rope(config);
    }

    public ModelConfig Config { get; }

    /// <summary>[V, D]</summary>
    public FrozenWeight Embedding => _embedding;

    /// <summary>[V, D]; with a tied output matrix the embedding itself.</summary>
    public FrozenWeight HeadWeight => _headWeight;

    public RmsNorm FinalNorm => _finalNorm;

    public IReadOnlyList<DecoderLayer> Layers => _layers;

    public Rope Rope => _rope;

    public AttentionShape AttentionShape => ShapeOf(Config);

    public IReadOnlyList<ProjectionShape> Projections => [.. _layers.SelectMany(l => l.Projections).Select(p => p.Shape)];

    public static AttentionShape ShapeOf(ModelConfig config) => new(config.Heads, config.KeyValueHeads, config.HeadDim, config.AttentionScale, config.AttentionSoftcap)
    {
        Windows = config.SlidingWindow is null ? [] : [.. Enumerable.Range(0, config.Layers).Select(config.WindowOf)],
    };

    /// <summary>Hidden states [N, D] before the final norm.</summary>
    public Tensor Forward(int[] tokens, int[] positions, Attention attention, IReadOnlyList<AdapterRows> adapters)
    {
        using var scope = NewDisposeScope();
        LayerPositions[] places = _rope.Positions(positions);
        Tensor x = Embed(tokens, adapters); // [N, D]
        for (int l = 0; l < _layers.Length; l++)
        {
            Tensor next = _layers[l].Forward(x, places[l], attention, adapters);
            x.Dispose();
            x = next;
        }
        return x.MoveToOuterDisposeScope();
    }

    /// <summary>Through the base's own output matrix.</summary>
    /// <inheritdoc cref="Logits(Tensor, IReadOnlyList{AdapterRows})"/>
    public Tensor Logits(Tensor hidden) => Logits(hidden, []);

    /// <param name="hidden">[M, D], before the final norm.</param>
    /// <param name="adapters">Whose rows of <paramref name="hidden"/> these are: an adapter can have an output matrix of its own.</param>
    /// <returns>[M, V]</returns>
    public Tensor Logits(Tensor hidden, IReadOnlyList<AdapterRows> adapters)
    {
        using var scope = NewDisposeScope();
        Tensor normed = _finalNorm.Forward(hidden).Y;
        if (adapters is [{ Start: 0, Adapter: var only } whole] && whole.Length == hidden.size(0))
            return HeadOf(only).Forward(normed).MoveToOuterDisposeScope();
        Tensor logits = _head.Forward(normed);
        foreach (AdapterRows rows in adapters.Where(a => a.Adapter.Head is not null))
            logits.narrow(0, rows.Start, rows.Length).copy_(HeadOf(rows.Adapter).Forward(normed.narrow(0, rows.Start, rows.Length)));
        return logits.MoveToOuterDisposeScope();
    }

    private OutputHead HeadOf(LoraAdapter? adapter) =>
        adapter?.Head is { } own ? new OutputHead(new FrozenWeight(own.Weight), Config.LogitMultiplier, Config.LogitSoftcap, own.Gradient) : _head;

    public override LabelLoss ForwardBackward(PackedBatch batch, LoraAdapter adapter, double divisor) =>
        ForwardBackward(batch, adapter, normed => LabelCrossEntropy.ForwardBackward(normed, HeadOf(adapter), batch.Labels, batch.Weights, divisor));

    public override PreferenceLoss ForwardBackward(PackedBatch batch, LoraAdapter adapter, double beta, double divisor, double[] reference) => ForwardBackward(batch, adapter, normed =>
    {
        double[] policy = PreferenceLoss.RowSums(batch, LabelCrossEntropy.LogProbabilities(normed, HeadOf(adapter), batch.Labels));
        var (loss, weights) = PreferenceLoss.Of(batch, policy, reference, beta, divisor);
        return (loss, LabelCrossEntropy.ForwardBackward(normed, HeadOf(adapter), batch.Labels, weights, 1).DHidden);
    });

    /// <param name="head">From the labels' normed hidden states [M, D] to the loss and their gradient [M, D].</param>
    private TLoss ForwardBackward<TLoss>(PackedBatch batch, LoraAdapter adapter, Func<Tensor, (TLoss Loss, Tensor DNormed)> head)
    {
        using var scope = NewDisposeScope();
        var attention = new PrefixTreeAttention(batch, AttentionShape);
        LayerPositions[] places = _rope.Positions(batch.Positions);
        (Tensor wanted, Tensor rowOfLabel) = LabelledTokens(batch);
        var saved = new SavedLayer[_layers.Length];
        try
        {
            Tensor x = Embed(batch.Tokens, WholeBatch(batch, adapter)); // [N, D]
            for (int l = 0; l < _layers.Length; l++)
            {
                x = _layers[l].Forward(x, places[l], attention, adapter, saved[l] = new SavedLayer(), Wanted(l, wanted)); // [U, D] from the last one
                if (Recomputes && l < _layers.Length - 1)
                    saved[l].KeepInputAlone();
            }

            Tensor last = x.index_select(0, rowOfLabel);                    // [M, D]
            (Tensor normed, Tensor inverseRms) = _finalNorm.Forward(last);
            (TLoss loss, Tensor dNormed) = head(normed);
            Tensor dLast = _finalNorm.Backward(dNormed, last, inverseRms, TensorPool.ZerosLike(last)); // [M, D]
            Tensor? dx = TensorPool.ZerosLike(x).PlusRowsInPlace(rowOfLabel, dLast); // [U, D]
            WholeMatrix? embedding = adapter.Embedding;
            int lowest = embedding is null ? LowestAdapted(adapter) : 0;
            for (int l = _layers.Length - 1; l >= lowest; l--)
            {
                if (Recomputes && l < _layers.Length - 1)
                    _layers[l].Forward(saved[l].Input, places[l], attention, adapter, saved[l], null).Dispose();
                Tensor? below = _layers[l].Backward(dx!, places[l], attention, adapter, saved[l], Wanted(l, wanted), needsInput: l > lowest || embedding is not null); // [N, D]
                dx!.Dispose();
                saved[l].Dispose();
                dx = below;
            }
            if (embedding is not null)
                embedding.Gradient!.PlusRowsInPlace(tensor(batch.Tokens, dtype: int64), dx!, Config.EmbeddingMultiplier);
            return loss;
        }
        finally
        {
            foreach (SavedLayer? layer in saved)
                layer?.Dispose();
        }
    }

    public override LabelLoss Loss(PackedBatch batch, LoraAdapter? adapter, double divisor)
    {
        using var scope = NewDisposeScope();
        return LabelCrossEntropy.Forward(LabelStates(batch, adapter), HeadOf(adapter), batch.Labels, batch.Weights, divisor);
    }

    public override double[] LogProbabilities(PackedBatch batch, LoraAdapter? adapter)
    {
        using var scope = NewDisposeScope();
        return LabelCrossEntropy.LogProbabilities(LabelStates(batch, adapter), HeadOf(adapter), batch.Labels);
    }

    /// <summary>Normed hidden states of the labels [M, D].</summary>
    private Tensor LabelStates(PackedBatch batch, LoraAdapter? adapter)
    {
        using var scope = NewDisposeScope();
        var attention = new PrefixTreeAttention(batch, AttentionShape);
        LayerPositions[] places = _rope.Positions(batch.Positions);
        (Tensor wanted, Tensor rowOfLabel) = LabelledTokens(batch);
        Tensor x = Embed(batch.Tokens, WholeBatch(batch, adapter)); // [N, D]
        for (int l = 0; l < _layers.Length; l++)
        {
            Tensor next = _layers[l].Forward(x, places[l], attention, adapter, null, Wanted(l, wanted));
            x.Dispose();
            x = next;
        }
        return _finalNorm.Forward(x.index_select(0, rowOfLabel)).Y.MoveToOuterDisposeScope();
    }

    private Tensor? Wanted(int layer, Tensor labelled) => layer == _layers.Length - 1 ? labelled : null;

    /// <summary>The tokens that predict a label [U], each once, and for each label which of them [M].</summary>
    public static (Tensor Tokens, Tensor RowOfLabel) LabelledTokens(PackedBatch batch)
    {
        int[] tokens = [.. batch.LabelAt.Distinct().Order()];
        return (tensor(tokens, dtype: int64), tensor(batch.LabelAt.Select(at => (long)Array.BinarySearch(tokens, at)).ToArray()));
    }

    /// <summary>Hidden states [N, D] of a packed batch.</summary>
    public Tensor Forward(PackedBatch batch, LoraAdapter? adapter)
    {
        var attention = new PrefixTreeAttention(batch, AttentionShape);
        return Forward(batch.Tokens, batch.Positions, attention, WholeBatch(batch, adapter));
    }

    private static AdapterRows[] WholeBatch(PackedBatch batch, LoraAdapter? adapter) => adapter is null ? [] : [new AdapterRows(adapter, 0, batch.Tokens.Length)];

    private Tensor Embed(int[] tokens, IReadOnlyList<AdapterRows> adapters)
    {
        Tensor x = _embedding.Gather(tokens);
        foreach (AdapterRows rows in adapters)
        {
            if (rows.Adapter.Embedding is { } own)
                x.narrow(0, rows.Start, rows.Length).copy_(own.Weight.index_select(0, tensor(tokens, dtype: int64).narrow(0, rows.Start, rows.Length)));
        }
        return Config.EmbeddingMultiplier == 1 ? x : x.TimesInPlace(Config.EmbeddingMultiplier);
    }

    /// <summary>An adapter's start: without effect, its own matrices those of the base.</summary>
    public void Start(LoraAdapter adapter, long seed)
    {
        adapter.Initialize(seed, RowNorms);
        if (adapter.Embedding is { } embedding)
            _embedding.CopyTo(embedding.Weight);
        if (adapter.Head is { } head)
            _headWeight.CopyTo(head.Weight);
    }

    /// <summary>‖W‖ of each row of a linear module [out].</summary>
    public float[] RowNorms(string module)
    {
        LoraLinear projection = _layers.SelectMany(l => l.Projections).First(p => p.Shape.Modules.Any(m => m.Name == module));
        return projection.RowNorms(projection.Shape.Modules.First(m => m.Name == module));
    }

    /// <summary>No gradient flows below the first layer with an adapter.</summary>
    public int LowestAdapted(LoraAdapter adapter)
    {
        for (int l = 0; l < _layers.Length; l++)
        {
            if (_layers[l].Projections.Any(p => adapter.Group(p.Shape.Name) is not null))
                return l;
        }
        return _layers.Length;
    }

    public override void Dispose()
    {
        foreach (DecoderLayer layer in _layers)
            layer.Dispose();
        _finalNorm.Dispose();
        _head.Dispose();
        _embedding.Dispose();
        _buffer?.Dispose();
    }
}
