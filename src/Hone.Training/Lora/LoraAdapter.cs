using Hone.Formats.Adapters;
using Hone.Formats.Models;
using Hone.Training.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Lora;

/// <summary>
/// Low-rank adapter of one model (Hu et al. 2021, arXiv:2106.09685): for each adapted module <c>y += s · (x Aᵀ) Bᵀ</c> with A [r, in], B [out, r] and
/// <c>s = alpha / r</c> (<c>alpha / √r</c> with rsLoRA); with DoRA (Liu et al. 2024, arXiv:2402.09353) each output is then scaled to a learnt magnitude. All parameters are views of one vector, as are all gradients, so that the optimiser, the norm and a
/// checkpoint see one array each. Modules that read the same input lie together: their A matrices form one product.
/// </summary>
internal sealed class LoraAdapter : IDisposable
{
    private readonly Dictionary<string, LoraGroup> _groups;

    /// <param name="embedding">Given where the adapter has an embedding of its own in the base's place.</param>
    /// <param name="head">The same for the output matrix.</param>
    public LoraAdapter(
        IReadOnlyList<ProjectionShape> projections, IReadOnlyDictionary<string, LoraModuleShape> modules, bool trainable, LinearModule? embedding = null, LinearModule? head = null)
    {
        Modules = modules;
        LinearModule[] whole = [.. new[] { embedding, head }.OfType<LinearModule>()];
        long size = modules.Values.Sum(m => (long)m.Rank * (m.In + m.Out) + (m.UseDora ? m.Out : 0) + (m.UseBias ? m.Out : 0)) + whole.Sum(m => (long)m.In * m.Out);
        Parameters = zeros(size).DetachFromDisposeScope();
        Gradients = trainable ? zeros(size).DetachFromDisposeScope() : null;
        _groups = [];
        long offset = 0;
        foreach (ProjectionShape projection in projections)
        {
            var adapted = projection.Modules.Where(m => modules.ContainsKey(m.Name)).ToArray();
            if (adapted.Length == 0)
                continue;
            int totalRank = adapted.Sum(m => modules[m.Name].Rank);
            var (a, gradA) = Take(totalRank, projection.In);
            var parts = new List<LoraPart>();
            int rank = 0;
            foreach (ProjectedModule module in adapted)
            {
                LoraModuleShape shape = modules[module.Name];
                var (b, gradB) = Take(shape.Out, shape.Rank);
                (Tensor? magnitude, Tensor? gradMagnitude) = shape.UseDora ? Take(1, shape.Out) : (null, null);
                (Tensor? bias, Tensor? gradBias) = shape.UseBias ? Take(1, shape.Out) : (null, null);
                parts.Add(new LoraPart(module.Name, module.Offset, shape.Out, rank, shape.Rank, shape.Scale, b, gradB)
                {
                    Magnitude = magnitude,
                    GradMagnitude = gradMagnitude,
                    Bias = bias,
                    GradBias = gradBias,
                });
                rank += shape.Rank;
            }
            _groups.Add(projection.Name, new LoraGroup(a, gradA, parts));
        }
        Embedding = TakeWhole(embedding);
        Head = TakeWhole(head);
        if (offset != size)
            throw new ArgumentException("A module of the adapter belongs to no projection of the model.", nameof(modules));

        WholeMatrix? TakeWhole(LinearModule? module)
        {
            if (module is null)
                return null;
            (Tensor weight, Tensor? gradient) = Take(module.Out, module.In);
            return new WholeMatrix(module.Name, weight, gradient);
        }

        (Tensor, Tensor?) Take(long rows, long columns)
        {
            long start = offset;
            offset += rows * columns;
            return (View(Parameters), Gradients is null ? null : View(Gradients));

            Tensor View(Tensor flat)
            {
                using Tensor part = flat.narrow(0, start, rows * columns); // held while it is read: outside a scope the collector may free it meanwhile
                return part.view(rows, columns).DetachFromDisposeScope();
            }
        }
    }

    public IReadOnlyDictionary<string, LoraModuleShape> Modules { get; }

    /// <summary>In the place of the base's embedding; null: the base's.</summary>
    public WholeMatrix? Embedding { get; }

    /// <summary>In the place of the base's output matrix, also where that is the embedding; null: the base's.</summary>
    public WholeMatrix? Head { get; }

    /// <summary>[P]</summary>
    public Tensor Parameters { get; }

    /// <summary>[P]; null where the adapter only serves.</summary>
    public Tensor? Gradients { get; }

    /// <summary>Dropout of the input of A while training; 0: none.</summary>
    public double Dropout { get; init; }

    /// <summary>Seeds this step's dropout masks.</summary>
    public ulong DropoutSeed { get; set; }

    /// <summary>What a projection's dropout of this step is drawn by, from 0 to 1; a device other than the CPU draws other numbers from the same seed.</summary>
    public Tensor DropoutDraws(long[] size, string projection, Device device)
    {
        ulong seed = new SplitMix64((long)DropoutSeed, projection).Next() >> 1;
        if (device.type != DeviceType.CPU)
        {
            // The library has generators of their own on the CPU alone.
            cuda.manual_seed((long)seed);
            return rand(size, device: device);
        }
        using var generator = new Generator(seed);
        return rand(size, generator: generator);
    }

    public LoraGroup? Group(string projection) => _groups.GetValueOrDefault(projection);

    /// <summary>Until it is disposed the parameters stay as they are: what follows from them alone is computed once for all passes.</summary>
    public IDisposable Unchanged() => new UnchangedScope(this);

    /// <summary>A [r, in] and B [out, r] of each module, and their gradients.</summary>
    public IEnumerable<LoraMatrices> Matrices()
    {
        foreach (LoraGroup group in _groups.Values)
        {
            foreach (LoraPart part in group.Parts)
            {
                yield return new LoraMatrices(
                    part.Module, group.A.narrow(0, part.RankOffset, part.Rank), part.B, group.GradA?.narrow(0, part.RankOffset, part.Rank), part.GradB)
                {
                    Magnitude = part.Magnitude,
                    GradMagnitude = part.GradMagnitude,
                    Bias = part.Bias,
                    GradBias = part.GradBias,
                };
            }
        }
    }

    /// <summary>Every tensor that PEFT's file holds.</summary>
    public IEnumerable<NamedTensor> Tensors()
    {
        foreach (LoraMatrices module in Matrices())
        {
            yield return new(AdapterTensor.A, module.Name, module.A);
            yield return new(AdapterTensor.B, module.Name, module.B);
            if (module.Bias is not null)
                yield return new(AdapterTensor.Bias, module.Name, module.Bias);
            if (module.Magnitude is not null)
                yield return new(AdapterTensor.Magnitude, module.Name, module.Magnitude);
        }
        foreach (WholeMatrix whole in new[] { Embedding, Head }.OfType<WholeMatrix>())
            yield return new(AdapterTensor.Whole, whole.Name, whole.Weight);
    }

    /// <summary>
    /// PEFT's start: A uniform in ±1/√in (Kaiming with a = √5), B zero; DoRA's magnitudes are the frozen weight's norms, so the adapter starts without effect.
    /// A module's numbers depend on the seed and its name alone.
    /// </summary>
    /// <param name="rowNorms">The norm of each row of a module's frozen weight; needed with DoRA alone.</param>
    public void Initialize(long seed, Func<string, float[]>? rowNorms = null)
    {
        foreach (LoraMatrices module in Matrices())
        {
            var random = new SplitMix64(seed, module.Name);
            double bound = 1 / Math.Sqrt(module.A.shape[1]);
            Span<float> a = Matrix.Of(module.A).All();
            for (int i = 0; i < a.Length; i++)
                a[i] = (float)((random.NextDouble() * 2 - 1) * bound);
            module.B.zero_();
            module.Bias?.zero_();
            if (module.Magnitude is not null)
                rowNorms!(module.Name).CopyTo(Matrix.Of(module.Magnitude).All());
        }
    }

    public void Dispose()
    {
        foreach (LoraGroup group in _groups.Values)
            group.Dispose();
        Embedding?.Dispose();
        Head?.Dispose();
        Parameters.Dispose();
        Gradients?.Dispose();
    }

    private sealed class UnchangedScope : IDisposable
    {
        private readonly LoraAdapter _adapter;

        public UnchangedScope(LoraAdapter adapter)
        {
            _adapter = adapter;
            Set(true);
        }

        public void Dispose() => Set(false);

        private void Set(bool unchanged)
        {
            foreach (LoraGroup group in _adapter._groups.Values)
                group.IsUnchanged = unchanged;
        }
    }
}

/// <param name="Name">Hugging Face's, without <c>.weight</c>.</param>
internal sealed record LoraMatrices(string Name, Tensor A, Tensor B, Tensor? GradA, Tensor? GradB)
{
    /// <summary>DoRA's m [1, out].</summary>
    public Tensor? Magnitude { get; init; }
    public Tensor? GradMagnitude { get; init; }

    /// <summary>B's bias [1, out].</summary>
    public Tensor? Bias { get; init; }
    public Tensor? GradBias { get; init; }
}

/// <param name="Module">Hugging Face's name, without <c>.weight</c>.</param>
internal sealed record NamedTensor(AdapterTensor Kind, string Module, Tensor Values);

/// <summary>A matrix in the place of one of the base's.</summary>
/// <param name="Weight">[V, D]</param>
internal sealed record WholeMatrix(string Name, Tensor Weight, Tensor? Gradient) : IDisposable
{
    public void Dispose()
    {
        Weight.Dispose();
        Gradient?.Dispose();
    }
}

internal sealed record LoraModuleShape(int In, int Out, int Rank, double Scale, bool UseDora = false, bool UseBias = false);

/// <summary>One product of the decoder: the modules that share an input, stacked.</summary>
internal sealed record ProjectionShape(string Name, int In, IReadOnlyList<ProjectedModule> Modules);

/// <param name="Offset">First row of the module in the stacked weight.</param>
internal sealed record ProjectedModule(string Name, int Offset, int Out);

/// <param name="A">[Σr, in]: the modules' A matrices, one below the other.</param>
internal sealed record LoraGroup(Tensor A, Tensor? GradA, IReadOnlyList<LoraPart> Parts) : IDisposable
{
    private Tensor? _columnScales;

    /// <summary>Σr</summary>
    public int Rank { get; } = (int)A.size(0);

    public Matrix ValuesOfA { get; } = Matrix.Of(A);

    public bool UsesBias { get; } = Parts.Any(p => p.Bias is not null);

    public bool UsesDora { get; } = Parts.Any(p => p.Magnitude is not null);

    /// <summary>Whether the parameters stay as they are; those of an adapter that only answers always do. See <see cref="LoraAdapter.Unchanged"/>.</summary>
    public bool IsUnchanged
    {
        get => GradA is null || field;
        set
        {
            field = value;
            if (IsUnchanged)
                return;
            _columnScales?.Dispose();
            _columnScales = null;
        }
    }

    /// <summary>DoRA's factor of each output [1, Σout]; kept while the parameters stay as they are.</summary>
    public Tensor ColumnScales(Func<Tensor> make) => IsUnchanged ? _columnScales ??= make().DetachFromDisposeScope() : make();

    /// <summary><c>s · u Bᵀ</c> of each module, for a few rows of u [n, Σr].</summary>
    public ProductTerm[] RowTerms(Matrix low)
    {
        var terms = new ProductTerm[Parts.Count];
        for (int i = 0; i < terms.Length; i++)
            terms[i] = Parts[i].RowTerm(low);
        return terms;
    }

    public void Dispose()
    {
        A.Dispose();
        GradA?.Dispose();
        foreach (LoraPart part in Parts)
        {
            part.B.Dispose();
            part.DisposeTurned();
            part.GradB?.Dispose();
            part.Magnitude?.Dispose();
            part.GradMagnitude?.Dispose();
            part.Bias?.Dispose();
            part.GradBias?.Dispose();
        }
        _columnScales?.Dispose();
    }
}

internal sealed record LoraPart(string Module, int OutOffset, int Out, int RankOffset, int Rank, double Scale, Tensor B, Tensor? GradB)
{
    private readonly Matrix _values = Matrix.Of(B);
    private Tensor? _turnedB; // [r, out]
    private Matrix _turnedValues;

    /// <summary><c>s · u Bᵀ</c></summary>
    /// <param name="low">u [N, Σr]</param>
    public ProductTerm Term(Matrix low) => new(low.ColumnRange(RankOffset, Rank), _values, Transposed: true, (float)Scale, OutOffset);

    /// <summary>The same for the few rows of an answer, which add Bᵀ column by column; it is made once, unless B changes.</summary>
    public ProductTerm RowTerm(Matrix low)
    {
        if (GradB is not null)
            return Term(low);
        if (_turnedB is null)
        {
            using Tensor turned = B.t(); // held while it is read
            _turnedB = turned.contiguous().DetachFromDisposeScope();
            _turnedValues = Matrix.Of(_turnedB);
        }
        return new ProductTerm(low.ColumnRange(RankOffset, Rank), _turnedValues, Transposed: false, (float)Scale, OutOffset);
    }

    public void DisposeTurned() => _turnedB?.Dispose();

    /// <summary>DoRA's m [1, out]: the norm of each row of the adapted weight.</summary>
    public Tensor? Magnitude { get; init; }
    public Tensor? GradMagnitude { get; init; }

    /// <summary>B's bias [1, out].</summary>
    public Tensor? Bias { get; init; }
    public Tensor? GradBias { get; init; }
}
