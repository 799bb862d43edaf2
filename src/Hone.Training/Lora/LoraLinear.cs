using Hone.Training.Kernels;
using Hone.Training.Model;
using static TorchSharp.torch;

namespace Hone.Training.Lora;

/// <summary>Rows [Start, Start + Length) of a batch go through this adapter.</summary>
internal sealed record AdapterRows(LoraAdapter Adapter, long Start, long Length);

/// <summary>
/// One or more linear modules that read the same input, with a frozen stacked weight W [Σout, in] and any adapter on top:
/// <c>y = x Wᵀ + s · (x Aᵀ) Bᵀ</c>. Backward: with <c>u = x Aᵀ</c> and <c>du = s · dy B</c>,
/// <c>dB += s · dyᵀ u</c>, <c>dA += duᵀ x</c>, <c>dx = dy W + du A</c>.
/// Where B has a bias b, <c>y += s · b</c> and <c>db += s · Σ dy</c>.
/// With DoRA <c>y = c · (x Wᵀ + s · u Bᵀ) + bias</c> with <c>c = m / ‖W + s · B A‖</c> a row, the norm taken as a constant as the paper proposes (section 4.3).
/// </summary>
internal sealed class LoraLinear(ProjectionShape shape, FrozenWeight weight, Tensor? bias = null) : IDisposable
{
    /// <summary>Outputs whose dB, and rows whose du, are one turn of a loop.</summary>
    private const int OutputRange = 192, RowRange = 48;

    private const int GradientSlot = 0, LowSlot = 7;

    private double[]? _squaredNorms; // ‖W‖² of each row, for DoRA

    public ProjectionShape Shape => shape;

    public FrozenWeight Weight => weight;

    /// <summary>[Σout]</summary>
    public Tensor? Bias => bias;

    /// <param name="x">[N, in]</param>
    /// <param name="saved">Receives <c>x Aᵀ</c> [N, Σr] for the backward pass; at most one adapter then.</param>
    /// <returns>[N, Σout]</returns>
    public Tensor Forward(Tensor x, IReadOnlyList<AdapterRows> adapters, SavedProjection? saved = null)
    {
        using Profile.Measure measured = Profile.Of(Operation.Products, x.size(0));
        Tensor y = TensorPool.Empty(x.size(0), weight.Rows); // [N, Σout]
        bool dora = adapters.Any(a => a.Adapter.Group(shape.Name) is { UsesDora: true });
        bool biasFirst = bias is not null && !dora; // DoRA does not scale the bias
        if (biasFirst)
            y.copy_(bias!);
        Matrix input = Matrix.Of(x), output = Matrix.Of(y);
        var frozen = new ProductTerm(input, weight.Values(), Transposed: true);
        if (RowProduct.IsUsed && adapters.Count > 0)
        {
            ForwardRows(frozen, y, biasFirst, adapters);
            return dora && bias is not null ? y.PlusInPlace(bias) : y;
        }
        if (adapters is [{ Start: 0 } only] && only.Length == input.Rows && only.Adapter.Group(shape.Name) is { } whole)
        {
            MatrixProduct.Run(output, biasFirst, [frozen, .. Low(whole, x, only.Adapter, saved)]);
            AddBiases(y, whole);
            return dora ? Scaled(y, whole, saved) : y;
        }
        MatrixProduct.Run(output, biasFirst, frozen);
        foreach (AdapterRows rows in adapters)
        {
            if (rows.Adapter.Group(shape.Name) is not { } group)
                continue;
            MatrixProduct.Run(output.RowRange((int)rows.Start, (int)rows.Length), true, Low(group, x.narrow(0, rows.Start, rows.Length), rows.Adapter, saved));
            AddBiases(y.narrow(0, rows.Start, rows.Length), group);
            if (group.UsesDora)
                y.narrow(0, rows.Start, rows.Length).mul_(ColumnScales(group));
        }
        return dora && bias is not null ? y.PlusInPlace(bias) : y;
    }

    /// <summary>The few rows of answers under way, which may have as many adapters: all products with x are one loop, all with u another.</summary>
    private void ForwardRows(in ProductTerm frozen, Tensor y, bool biasFirst, IReadOnlyList<AdapterRows> adapters)
    {
        Matrix input = frozen.X, output = Matrix.Of(y), lows = Scratch.Take(LowSlot, input.Rows, adapters.Max(a => a.Adapter.Group(shape.Name)?.Rank ?? 0)); // u [N, max Σr]
        var sums = new RowSum[adapters.Count + 1];
        var added = new RowSum[adapters.Count];
        int adapted = 0;
        foreach ((LoraAdapter adapter, long start, long length) in adapters)
        {
            if (adapter.Group(shape.Name) is not { } group)
                continue;
            (int first, int count) = ((int)start, (int)length);
            Matrix low = lows.RowRange(first, count).ColumnRange(0, group.Rank);
            added[adapted++] = new RowSum(output.RowRange(first, count), true, group.RowTerms(low));
            sums[adapted] = new RowSum(low, false, new ProductTerm(input.RowRange(first, count), group.ValuesOfA, Transposed: true));
        }
        sums[0] = new RowSum(output, biasFirst, frozen);
        RowProduct.RunAll(sums.AsSpan(0, adapted + 1));
        RowProduct.RunAll(added.AsSpan(0, adapted));
        foreach (AdapterRows rows in adapters)
        {
            if (rows.Adapter.Group(shape.Name) is not { } group || !group.UsesBias && !group.UsesDora)
                continue;
            Tensor own = y.narrow(0, rows.Start, rows.Length);
            AddBiases(own, group);
            if (group.UsesDora)
                own.mul_(ColumnScales(group));
        }
    }

    private static void AddBiases(Tensor y, LoraGroup group)
    {
        if (!group.UsesBias)
            return;
        foreach (LoraPart part in group.Parts.Where(p => p.Bias is not null))
            y.narrow(1, part.OutOffset, part.Out).PlusInPlace(part.Bias!, part.Scale);
    }

    /// <summary>DoRA's last step over a whole batch: y · c + bias; keeps y for the backward pass.</summary>
    private Tensor Scaled(Tensor y, LoraGroup group, SavedProjection? saved)
    {
        Tensor scales = ColumnScales(group);
        if (saved is not null)
            (saved.Unscaled, saved.Scales) = (TensorPool.Clone(y).DetachFromDisposeScope(), scales.clone().DetachFromDisposeScope());
        y.mul_(scales);
        return bias is null ? y : y.PlusInPlace(bias);
    }

    /// <summary>c [1, Σout]; 1 for modules without DoRA. <c>‖W + s · B A‖² = ‖W‖² + 2s · (W Aᵀ) · B + s² · B (A Aᵀ) Bᵀ</c>, row by row.</summary>
    private Tensor ColumnScales(LoraGroup group) => group.ColumnScales(() =>
    {
        _squaredNorms ??= SquaredNorms();
        Tensor scales = ones(1, weight.Rows);
        Matrix w = weight.Widened();
        Span<float> c = Matrix.Of(scales).All();
        foreach (LoraPart part in group.Parts.Where(p => p.Magnitude is not null))
        {
            using var scope = NewDisposeScope();
            Matrix a = Matrix.Of(group.A).RowRange(part.RankOffset, part.Rank), b = Matrix.Of(part.B), m = Matrix.Of(part.Magnitude!);
            Tensor wA = TensorPool.Empty(part.Out, part.Rank), aA = TensorPool.Empty(part.Rank, part.Rank), bA = TensorPool.Empty(part.Out, part.Rank);
            MatrixProduct.Run(Matrix.Of(wA), false, new ProductTerm(w.RowRange(part.OutOffset, part.Out), a, Transposed: true));
            MatrixProduct.Run(Matrix.Of(aA), false, new ProductTerm(a, a, Transposed: true));
            MatrixProduct.Run(Matrix.Of(bA), false, new ProductTerm(b, Matrix.Of(aA), Transposed: true));
            Matrix ofW = Matrix.Of(wA), ofB = Matrix.Of(bA);
            for (int o = 0; o < part.Out; o++)
            {
                double cross = 0, square = 0;
                for (int r = 0; r < part.Rank; r++)
                {
                    cross += (double)ofW.Row(o)[r] * b.Row(o)[r];
                    square += (double)ofB.Row(o)[r] * b.Row(o)[r];
                }
                double norm = _squaredNorms[part.OutOffset + o] + 2 * part.Scale * cross + part.Scale * part.Scale * square;
                c[part.OutOffset + o] = (float)(m.Row(0)[o] / Math.Sqrt(norm));
            }
        }
        return scales;
    });

    private double[] SquaredNorms()
    {
        Matrix w = weight.Widened();
        var norms = new double[w.Rows];
        Cores.ForRanges(w.Rows, 64, (start, end) =>
        {
            for (int row = start; row < end; row++)
            {
                foreach (float value in w.Row(row))
                    norms[row] += (double)value * value;
            }
        });
        return norms;
    }

    /// <summary>‖W‖ of each row of a module.</summary>
    public float[] RowNorms(ProjectedModule module) => [.. (_squaredNorms ??= SquaredNorms()).Skip(module.Offset).Take(module.Out).Select(n => (float)Math.Sqrt(n))];

    /// <summary>The adapter's terms of the product: <c>s · u Bᵀ</c> for each module.</summary>
    private ProductTerm[] Low(LoraGroup group, Tensor x, LoraAdapter adapter, SavedProjection? saved)
    {
        using Profile.Measure measured = Profile.Of(Operation.AdapterProducts);
        Tensor u = TensorPool.Empty(x.size(0), group.A.size(0)); // [n, Σr]
        Matrix low = Matrix.Of(u);
        MatrixProduct.Run(low, false, new ProductTerm(Matrix.Of(Dropped(x, adapter, training: saved is not null)), Matrix.Of(group.A), Transposed: true));
        if (saved is not null)
            saved.U = u.DetachFromDisposeScope();
        return [.. group.Parts.Select(p => p.Term(low))];
    }

    /// <summary>Both halves of the backward pass, where the forward pass's input is at hand.</summary>
    /// <param name="dy">[N, Σout]</param>
    /// <param name="x">The forward pass's input [N, in].</param>
    /// <returns>dx [N, in], or null where nobody needs it.</returns>
    public Tensor? Backward(Tensor dy, Tensor x, LoraAdapter adapter, SavedProjection saved, bool needsInput)
    {
        Tensor? du = BackwardProjected(dy, adapter, saved);
        BackwardA(du, x, adapter);
        return needsInput ? BackwardInput(dy, du, adapter, saved) : null;
    }

    /// <summary>Adds dB, its bias's db and DoRA's dm, and returns du [N, Σr]; null where the projection is not adapted.</summary>
    public Tensor? BackwardProjected(Tensor dy, LoraAdapter adapter, SavedProjection saved)
    {
        using Profile.Measure measured = Profile.Of(Operation.AdapterGradients);
        if (adapter.Group(shape.Name) is not { } group)
            return null;
        if (group.UsesDora)
            dy = saved.ScaledGradient = BackwardScaled(dy, group, saved);
        foreach (LoraPart part in group.Parts.Where(p => p.GradBias is not null))
            part.GradBias!.PlusInPlace(dy.narrow(1, part.OutOffset, part.Out).sum(0, keepdim: true), part.Scale);
        Tensor du = TensorPool.Empty(dy.size(0), group.A.size(0)); // [N, Σr]
        Matrix upper = Matrix.Of(dy), low = Matrix.Of(du), u = Matrix.Of(saved.U!);
        (LoraPart Part, Matrix Dy, Matrix B, Matrix GradB)[] parts =
            [.. group.Parts.Select(p => (p, upper.ColumnRange(p.OutOffset, p.Out), Matrix.Of(p.B), Matrix.Of(p.GradB!)))];
        (int Part, int Start, int Length)[] ranges = [.. parts.SelectMany((p, index) => Ranges(p.Part.Out, OutputRange).Select(r => (index, r.Start, r.Length)))];
        (int Start, int Length)[] rows = [.. Ranges(upper.Rows, RowRange)];
        Cores.For(ranges.Length + rows.Length, i =>
        {
            if (i < ranges.Length)
            {
                var (part, dyPart, _, gradB) = parts[ranges[i].Part];
                Matrix dB = Scratch.Take(GradientSlot, part.Rank, ranges[i].Length);
                MatrixProduct.RunHere(dB, false, new ProductTerm(u.ColumnRange(part.RankOffset, part.Rank), dyPart.ColumnRange(ranges[i].Start, dB.Columns), Transposed: false, (float)part.Scale, TurnedX: true));
                AddTurned(dB, gradB.RowRange(ranges[i].Start, dB.Columns));
                return;
            }
            (int start, int length) = rows[i - ranges.Length];
            foreach (var (part, dyPart, b, _) in parts)
                MatrixProduct.RunHere(low.RowRange(start, length).ColumnRange(part.RankOffset, part.Rank), false, new ProductTerm(dyPart.RowRange(start, length), b, Transposed: false, (float)part.Scale));
        });
        return du;
    }

    private static IEnumerable<(int Start, int Length)> Ranges(int count, int length)
    {
        for (int start = 0; start < count; start += length)
            yield return (start, Math.Min(length, count - start));
    }

    /// <summary>sum += xᵀ</summary>
    private static void AddTurned(Matrix x, Matrix sum)
    {
        for (int r = 0; r < x.Rows; r++)
        {
            Span<float> row = x.Row(r);
            for (int c = 0; c < row.Length; c++)
                sum.Row(c)[r] += row[c];
        }
    }

    /// <summary>With z = x Wᵀ + s · u Bᵀ: <c>dm += Σ dy · z · c / m</c>; returns dz = dy · c.</summary>
    private static Tensor BackwardScaled(Tensor dy, LoraGroup group, SavedProjection saved)
    {
        Tensor ofScales = TensorPool.Clone(dy).mul_(saved.Unscaled!).sum(0, keepdim: true); // [1, Σout]
        foreach (LoraPart part in group.Parts.Where(p => p.Magnitude is not null))
            part.GradMagnitude!.PlusInPlace(ofScales.narrow(1, part.OutOffset, part.Out).mul(saved.Scales!.narrow(1, part.OutOffset, part.Out)).div_(part.Magnitude!));
        return TensorPool.Clone(dy).mul_(saved.Scales!);
    }

    /// <summary>Adds dA.</summary>
    public void BackwardA(Tensor? du, Tensor x, LoraAdapter adapter)
    {
        using Profile.Measure measured = Profile.Of(Operation.AdapterGradients);
        if (du is null)
            return;
        MatrixProduct.Run(Matrix.Of(adapter.Group(shape.Name)!.GradA!), true, new ProductTerm(Matrix.Of(du), Matrix.Of(Dropped(x, adapter, training: true)), Transposed: false, TurnedX: true));
    }

    /// <summary>dx [N, in], after <see cref="BackwardProjected"/>.</summary>
    public Tensor BackwardInput(Tensor dy, Tensor? du, LoraAdapter adapter, SavedProjection saved)
    {
        using Profile.Measure measured = Profile.Of(Operation.InputGradients);
        dy = saved.ScaledGradient ?? dy;
        Tensor dx = TensorPool.Empty(dy.size(0), weight.Columns);
        var frozen = new ProductTerm(Matrix.Of(dy), weight.Values(), Transposed: false);
        if (du is null)
        {
            MatrixProduct.Run(Matrix.Of(dx), false, frozen);
            return dx;
        }
        var low = new ProductTerm(Matrix.Of(du), Matrix.Of(adapter.Group(shape.Name)!.A), Transposed: false);
        if (adapter.Dropout == 0)
        {
            MatrixProduct.Run(Matrix.Of(dx), false, frozen, low);
            return dx;
        }
        using Tensor masked = TensorPool.EmptyLike(dx);
        MatrixProduct.Run(Matrix.Of(dx), false, frozen);
        MatrixProduct.Run(Matrix.Of(masked), false, low);
        return dx.PlusInPlace(masked.mul_(Mask(dx.shape, adapter)));
    }

    private Tensor Dropped(Tensor x, LoraAdapter adapter, bool training) =>
        training && adapter.Dropout > 0 ? TensorPool.Clone(x).mul_(Mask(x.shape, adapter)) : x;

    /// <summary>0 or 1 / (1 − p); the same in both passes of a step.</summary>
    private Tensor Mask(long[] size, LoraAdapter adapter)
    {
        Tensor mask = adapter.DropoutDraws(size, shape.Name, CPU);
        (float dropout, float kept) = ((float)adapter.Dropout, 1 / (float)(1 - adapter.Dropout));
        foreach (ref float value in Matrix.Of(mask).All())
            value = value >= dropout ? kept : 0;
        return mask;
    }

    public void Dispose()
    {
        weight.Dispose();
        bias?.Dispose();
    }
}

internal sealed class SavedProjection : IDisposable
{
    /// <summary>x Aᵀ [N, Σr]; null where the projection is not adapted.</summary>
    public Tensor? U { get; set; }

    /// <summary>With DoRA, the result before its scaling [N, Σout].</summary>
    public Tensor? Unscaled { get; set; }

    /// <summary>DoRA's factors [1, Σout].</summary>
    public Tensor? Scales { get; set; }

    /// <summary>With DoRA, dy with the scaling undone; lives within the layer's backward pass.</summary>
    public Tensor? ScaledGradient { get; set; }

    public void Dispose()
    {
        U?.Dispose();
        Unscaled?.Dispose();
        Scales?.Dispose();
    }
}
