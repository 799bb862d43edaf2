using Hone.Formats.TrainingData;

namespace Hone.Training.Training;

/// <summary>A run of tokens that all of its rows share, after the tokens of its ancestors.</summary>
/// <param name="Start">First token's index in the batch.</param>
/// <param name="Parent">Index of the segment before it; −1 at a root. Parents come before their children.</param>
internal sealed record Segment(int Start, int Length, int Parent);

/// <summary>
/// The rows of a step as a prefix tree in one sequence without padding: each distinct token prefix is computed once, each branch attends to its ancestors
/// and itself, positions count from the root of its row. The model predicts label i from the hidden state at <c>LabelAt[i]</c>: the shift between tokens
/// and labels is made here and nowhere else.
/// </summary>
internal sealed class PackedBatch
{
    private PackedBatch(int[] tokens, int[] positions, Segment[] segments, int[] labelAt, int[] labels, float[] weights, int rows)
    {
        (Tokens, Positions, Segments, LabelAt, Labels, Weights, Rows) = (tokens, positions, segments, labelAt, labels, weights, rows);
    }

    /// <summary>[N]</summary>
    public int[] Tokens { get; }

    /// <summary>[N]</summary>
    public int[] Positions { get; }

    public Segment[] Segments { get; }

    /// <summary>[M] Index of the token whose hidden state predicts the label.</summary>
    public int[] LabelAt { get; }

    /// <summary>[M]</summary>
    public int[] Labels { get; }

    /// <summary>[M] How many rows learn this label here.</summary>
    public float[] Weights { get; }

    public int Rows { get; }

    public double TotalWeight => Weights.Sum(w => (double)w);

    /// <summary>Where each row's tokens lie in the batch: index of token t of row r.</summary>
    public required int[][] RowTokens { get; init; }

    /// <summary>Which of the labels each row learns.</summary>
    public required int[][] RowLabels { get; init; }

    public static PackedBatch Pack(IReadOnlyList<EncodedRow> rows)
    {
        var roots = new List<Node>();
        var ends = new Node[rows.Count];
        for (int r = 0; r < rows.Count; r++)
            ends[r] = Insert(roots, rows[r].Tokens);

        // Depth first, so that a row's path lies in order.
        var segments = new List<Segment>();
        var tokens = new List<int>();
        var positions = new List<int>();
        var pending = new Stack<(Node Node, int Parent, int Depth)>();
        for (int i = roots.Count - 1; i >= 0; i--)
            pending.Push((roots[i], -1, 0));
        while (pending.TryPop(out var next))
        {
            next.Node.Segment = segments.Count;
            next.Node.Depth = next.Depth;
            segments.Add(new Segment(tokens.Count, next.Node.Tokens.Count, next.Parent));
            for (int t = 0; t < next.Node.Tokens.Count; t++)
            {
                tokens.Add(next.Node.Tokens[t]);
                positions.Add(next.Depth + t);
            }
            for (int c = next.Node.Children.Count - 1; c >= 0; c--)
                pending.Push((next.Node.Children[c], next.Node.Segment, next.Depth + next.Node.Tokens.Count));
        }

        var weights = new Dictionary<(int At, int Label), int>();
        var labels = new List<(int At, int Label, float Weight)>();
        var rowTokens = new int[rows.Count][];
        var rowLabels = new int[rows.Count][];
        for (int r = 0; r < rows.Count; r++)
        {
            var own = new List<int>();
            int[] at = rowTokens[r] = Path(ends[r], rows[r].Tokens.Length, segments);
            for (int t = 1; t < at.Length; t++)
            {
                if (!rows[r].Trained[t])
                    continue;
                var key = (at[t - 1], rows[r].Tokens[t]);
                if (weights.TryGetValue(key, out int label))
                    labels[label] = labels[label] with { Weight = labels[label].Weight + 1 };
                else
                {
                    label = labels.Count;
                    weights.Add(key, label);
                    labels.Add((key.Item1, key.Item2, 1));
                }
                own.Add(label);
            }
            rowLabels[r] = [.. own];
        }
        return new PackedBatch(
            [.. tokens], [.. positions], [.. segments], [.. labels.Select(l => l.At)], [.. labels.Select(l => l.Label)], [.. labels.Select(l => l.Weight)], rows.Count)
        {
            RowTokens = rowTokens,
            RowLabels = rowLabels,
        };
    }

    /// <summary>Walks down from the roots, splitting a node where the row leaves it, and returns the node that the row ends in.</summary>
    private static Node Insert(List<Node> roots, ReadOnlySpan<int> row)
    {
        List<Node> siblings = roots;
        Node? parent = null;
        int at = 0;
        while (true)
        {
            Node? node = null;
            foreach (Node sibling in siblings)
            {
                if (at < row.Length && sibling.Tokens[0] == row[at])
                {
                    node = sibling;
                    break;
                }
            }
            if (node is null)
            {
                if (at == row.Length && parent is not null)
                    return parent;
                var leaf = new Node(parent, [.. row[at..]]);
                siblings.Add(leaf);
                return leaf;
            }
            int shared = 1;
            while (shared < node.Tokens.Count && at + shared < row.Length && node.Tokens[shared] == row[at + shared])
                shared++;
            if (shared < node.Tokens.Count)
            {
                // The rest of the node moves below it; what ended in the node still ends there, at a greater depth of the same path.
                var rest = new Node(node, node.Tokens[shared..]) { Children = node.Children, Continuation = node.Continuation };
                foreach (Node child in rest.Children)
                    child.Parent = rest;
                node.Tokens.RemoveRange(shared, node.Tokens.Count - shared);
                node.Children = [rest];
                node.Continuation = rest;
            }
            at += shared;
            parent = node;
            siblings = node.Children;
            if (at == row.Length)
                return node;
        }
    }

    private static int[] Path(Node end, int length, List<Segment> segments)
    {
        // A node that was split after this row ended in it continues below.
        while (end.Depth + end.Tokens.Count < length)
            end = end.Continuation!;
        var at = new int[length];
        int t = length;
        for (Node? node = end; node is not null; node = node.Parent)
        {
            int start = segments[node.Segment].Start;
            while (t > node.Depth)
            {
                t--;
                at[t] = start + t - node.Depth;
            }
        }
        return at;
    }

    private sealed class Node(Node? parent, List<int> tokens)
    {
        public Node? Parent { get; set; } = parent;
        public List<int> Tokens { get; } = tokens;
        public List<Node> Children { get; set; } = [];

        /// <summary>Where the tokens cut off by the latest split went.</summary>
        public Node? Continuation { get; set; }
        public int Segment { get; set; }
        public int Depth { get; set; }
    }
}
