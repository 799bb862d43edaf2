using Hone.Training.Model;
using Hone.Training.Training;
using static TorchSharp.torch;

namespace Hone.Training.Devices;

/// <summary>What the pass of a packed batch needs on a device besides hidden states. Lives in the dispose scope that it is made in.</summary>
internal sealed class DeviceBatch
{
    private readonly PackedBatch _batch;
    private readonly Device _device;
    private readonly AttentionShape _shape;
    private readonly Dictionary<int, Tensor?> _masks = []; // by window
    private readonly (Tensor Cos, Tensor Sin)?[] _angles;

    public DeviceBatch(PackedBatch batch, Rope rope, AttentionShape shape, Device device)
    {
        (_batch, _device, _shape) = (batch, device, shape);
        Tokens = tensor(batch.Tokens, dtype: int64).to(device);
        (Tensor labelled, Tensor rowOfLabel) = Decoder.LabelledTokens(batch);
        (Labelled, RowOfLabel) = (labelled.to(device), rowOfLabel.to(device));
        LayerPositions[] places = rope.Positions(batch.Positions);
        _angles = new (Tensor, Tensor)?[places.Length];
        // Layers that turn alike share the angles.
        var moved = new Dictionary<object, (Tensor, Tensor)>(ReferenceEqualityComparer.Instance);
        for (int l = 0; l < places.Length; l++)
        {
            if (places[l].Angles is not { } angles)
                continue;
            if (!moved.TryGetValue(angles, out (Tensor, Tensor) own))
                moved[angles] = own = (angles.Cos.to(device).unsqueeze(1), angles.Sin.to(device).unsqueeze(1));
            _angles[l] = own;
        }
        if (places[0].QueryGrowth is { } growth)
            QueryGrowth = tensor(growth, [growth.Length, 1, 1]).to(device);
        foreach (int window in Enumerable.Range(0, places.Length).Select(shape.WindowOf).Distinct())
            _masks[window] = MakeMask(window);
    }

    /// <summary>[N]</summary>
    public Tensor Tokens { get; }

    /// <summary>[U] The tokens that predict a label.</summary>
    public Tensor Labelled { get; }

    /// <summary>[M] Which of <see cref="Labelled"/> predicts each label.</summary>
    public Tensor RowOfLabel { get; }

    /// <summary>[N, 1, 1]; null: queries do not grow.</summary>
    public Tensor? QueryGrowth { get; }

    /// <summary>[N, 1, half of what turns] each; null: the layer's queries and keys do not turn.</summary>
    public (Tensor Cos, Tensor Sin)? Angles(int layer) => _angles[layer];

    /// <summary>[N, N]: whether a query sees a key. Null: it sees all that stand before it, and itself.</summary>
    public Tensor? Mask(int layer) => _masks[_shape.WindowOf(layer)];

    /// <summary>A token sees those of its own segment and of its ancestors that stand no later than itself; of them, with a window, the last ones.</summary>
    private Tensor? MakeMask(int window)
    {
        int count = _batch.Segments.Length, length = _batch.Tokens.Length;
        bool all = window >= length;
        if (count == 1 && all)
            return null;
        var descends = new bool[count * count];
        var segmentOf = new long[length];
        for (int s = 0; s < count; s++)
        {
            Segment segment = _batch.Segments[s];
            for (int ancestor = s; ancestor >= 0; ancestor = _batch.Segments[ancestor].Parent)
                descends[s * count + ancestor] = true;
            Array.Fill(segmentOf, s, segment.Start, segment.Length);
        }
        using var scope = NewDisposeScope();
        Tensor segments = tensor(segmentOf).to(_device), positions = tensor(_batch.Positions, dtype: int64).to(_device);
        Tensor seen = tensor(descends, [count, count]).to(_device).index_select(0, segments).index_select(1, segments); // [N, N]
        Tensor back = positions.unsqueeze(1) - positions.unsqueeze(0);                                                 // [N, N]: how far back a key stands
        seen = seen.logical_and(back.ge(tensor(0L).to(_device)));
        return (all ? seen : seen.logical_and(back.lt(tensor((long)window).to(_device)))).MoveToOuterDisposeScope();
    }
}
